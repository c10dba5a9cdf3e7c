"""The interface of beds: hosts that scenarios run on."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple


class Answer(NamedTuple):
    """The result of a command."""

    status: int
    output: str
    errors: str


class Bed(ABC):
    """A host for containers that can be switched on and off."""

    # Factor for time limits on a slow bed.
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
        """The output on its console since it was started."""

    @abstractmethod
    def remove(self) -> None:
        """Switches it off and removes it."""


class Beds(ABC):
    """Makes the hosts of scenarios, each in the same state."""

    @abstractmethod
    def bed(self, scenario: Path) -> Bed:
        """The host of a scenario, still switched off."""

    @abstractmethod
    def remove(self) -> None:
        """Removes the files that all hosts share."""
