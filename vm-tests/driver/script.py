"""Shell commands as the NixOS test driver runs them."""


def strict(command: str) -> str:
    """A command that fails if one of its parts fails."""
    return f"set -euo pipefail\n{command}"
