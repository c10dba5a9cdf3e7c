"""Commands as the NixOS test driver runs them."""


def strict(command: str) -> str:
    """A command of which no part may fail."""
    return f"set -euo pipefail\n{command}"
