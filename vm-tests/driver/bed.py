"""What a machine of a scenario runs on."""

from abc import ABC, abstractmethod
from typing import NamedTuple


class Answer(NamedTuple):
    """What a command gave."""

    status: int
    output: str
    errors: str


class Bed(ABC):
    """A host for containers that can be switched on and off."""

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
