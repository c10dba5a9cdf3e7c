"""A bed that is a container: everything but a kernel of its own."""

import shutil
import subprocess
from pathlib import Path

from .bed import Answer, Bed, Beds
from .script import strict

here = Path(__file__).resolve().parent.parent

# Name of the container that is the host.
NAME = "host"


class NestedHosts(Beds):
    """Hosts that are containers of the command in the PATH."""

    def __init__(self) -> None:
        program = shutil.which("nixos-container")
        if program is None:
            raise RuntimeError("no nixos-container in the PATH")
        self._program = Path(program).resolve()

    def bed(self, scenario: Path) -> "Nested":
        host = f"import {here}/host.nix {{ program = {self._program}; scenario = {scenario.with_suffix('.nix')}; }}"
        system = f"(import <nixpkgs/nixos> {{ configuration = {host}; }}).system"
        command = ["nix-build", "--no-out-link", "-E", system]
        built = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
        return Nested(Path(built.stdout.strip()))

    def remove(self) -> None:
        """Does nothing: each host is removed after its scenario."""


class Nested(Bed):
    """A host that `nixos-container` runs, on a throwaway host."""

    def __init__(self, system: Path):
        """Makes the host from a built system."""
        call("create", NAME, "--system-path", str(system))

    def start(self) -> None:
        call("start", NAME)

    def execute(self, command: str, timeout: float) -> Answer:
        try:
            done = subprocess.run(
                ["nixos-container", "run", NAME, "--", "bash", "-c", strict(command)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        return Answer(done.returncode, done.stdout, done.stderr)

    def shutdown(self, timeout: float) -> None:
        call("stop", NAME, "--timeout", str(int(timeout)))

    def crash(self) -> None:
        call("terminate", NAME)

    def console(self) -> str:
        return call("logs", NAME)

    def remove(self) -> None:
        call("destroy", NAME)


def call(*arguments: str) -> str:
    """Runs the command, which must succeed; returns its output."""
    done = subprocess.run(["nixos-container", *arguments], capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode != 0:
        raise RuntimeError(f"`nixos-container {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout
