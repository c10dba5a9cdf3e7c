"""What a machine of a scenario runs on."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple


class Answer(NamedTuple):
    """What a command gave."""

    status: int
    output: str
    errors: str


class Bed(ABC):
    """A host for containers that can be switched on and off."""

    # How many times longer than on a machine of today things may take.
    slowness = 1

    @abstractmethod
    def start(self) -> None:
        """Boots it and returns when commands can be run."""

    @abstractmethod
    def execute(self, command: str, timeout: float) -> Answer:
        """Runs a shell command as root.

        Raises TimeoutError where it takes longer, in seconds.
        """

    @abstractmethod
    def shutdown(self, timeout: float) -> None:
        """Switches it off as its administrator does."""

    @abstractmethod
    def crash(self) -> None:
        """Cuts the power."""

    @abstractmethod
    def console(self) -> str:
        """What it has said on its console since it was started."""

    @abstractmethod
    def remove(self) -> None:
        """Switches it off for good; nothing of it stays."""


class Beds(ABC):
    """Makes the hosts of scenarios, each as if it was the first."""

    @abstractmethod
    def bed(self, scenario: Path) -> Bed:
        """The host of a scenario, still switched off."""

    @abstractmethod
    def remove(self) -> None:
        """Removes what all hosts shared."""
