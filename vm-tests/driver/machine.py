"""The machine of a scenario, with the vocabulary of the NixOS test driver.

Words, arguments and defaults are those of the section "NixOS Tests" in the
NixOS manual, so that a scenario runs there as it is.
"""

import shlex
import time
from collections.abc import Callable
from contextlib import contextmanager

from .bed import Answer, Bed

# The default of all timeouts, in seconds (the NixOS manual).
DEFAULT_TIMEOUT = 900

# Pause between two attempts on a bed that is not slow, in seconds.
PAUSE = 0.1


class ScenarioFailed(Exception):
    """A scenario's expectation does not hold."""


class Machine:
    """A host, under the control of its administrator."""

    def __init__(self, name: str, bed: Bed, say: Callable[[str], None]):
        self.name = name
        self.booted = False
        self._bed = bed
        self._say = say

    # --- power ---------------------------------------------------------

    def start(self) -> None:
        if not self.booted:
            self._say(f"{self.name}: start")
            self._bed.start()
            self.booted = True

    def shutdown(self) -> None:
        if self.booted:
            self._say(f"{self.name}: shut down")
            self._bed.shutdown(DEFAULT_TIMEOUT)
            self.booted = False

    def crash(self) -> None:
        if self.booted:
            self._say(f"{self.name}: cut the power")
            self._bed.crash()
            self.booted = False

    # --- commands ------------------------------------------------------

    def execute(
        self, command: str, check_return: bool = True, check_output: bool = True, timeout: int | None = DEFAULT_TIMEOUT
    ) -> tuple[int, str]:
        """Runs a command; returns its exit status and output."""
        answer = self._run(command, timeout)
        return (answer.status if check_return else -2, answer.output if check_output else "")

    def succeed(self, *commands: str, timeout: int | None = None) -> str:
        """Runs commands that must succeed; returns their output."""
        printed = ""
        for command in commands:
            answer = self._run(command, timeout)
            if answer.status != 0:
                raise ScenarioFailed(f"`{command}` failed with exit code {answer.status}\n{both(answer)}")
            printed += answer.output
        return printed

    def fail(self, *commands: str, timeout: int | None = None) -> str:
        """Runs commands that must fail; returns their output."""
        printed = ""
        for command in commands:
            answer = self._run(command, timeout)
            if answer.status == 0:
                raise ScenarioFailed(f"`{command}` succeeded, but should fail\n{both(answer)}")
            printed += answer.output
        return printed

    def wait_until_succeeds(self, command: str, timeout: int = DEFAULT_TIMEOUT) -> str:
        """Repeats a command until it succeeds; returns its last output."""
        return self._wait_for(command, lambda answer: answer.status == 0, "succeed", timeout).output

    def wait_until_fails(self, command: str, timeout: int = DEFAULT_TIMEOUT) -> str:
        """Repeats a command until it fails; returns its last output."""
        return self._wait_for(command, lambda answer: answer.status != 0, "fail", timeout).output

    # --- units ---------------------------------------------------------

    def systemctl(self, arguments: str, user: str | None = None) -> tuple[int, str]:
        """Runs systemctl; returns its exit status and output."""
        if user is not None:
            raise NotImplementedError("scenarios have no users with a systemd of their own")
        return self.execute(f"systemctl {arguments}")

    def get_unit_info(self, unit: str) -> dict[str, str]:
        """The properties of a unit."""
        shown = self.succeed(f"systemctl --no-pager show {shlex.quote(unit)}")
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def get_unit_property(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.succeed(
            f"systemctl --no-pager show --value --property={shlex.quote(name)} {shlex.quote(unit)}"
        ).strip()

    def require_unit_state(self, unit: str, require_state: str = "active") -> None:
        """Fails unless the unit is in this state."""
        state = self.get_unit_property(unit, "ActiveState")
        if state != require_state:
            raise ScenarioFailed(f"{unit} should be {require_state}, but is {state}\n{self._about(unit)}")

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: int = DEFAULT_TIMEOUT) -> None:
        """Waits until a unit is active, and fails at once if it never will be."""
        if user is not None:
            raise NotImplementedError("scenarios have no users with a systemd of their own")
        end = self._end(timeout)
        while True:
            info = self.get_unit_info(unit)
            state = info["ActiveState"]
            if state == "active":
                return
            waits = state == "inactive" and info.get("Job", "")
            if state == "failed" or (state == "inactive" and not waits and not self._has_jobs()):
                # The unit may have become active between the two calls.
                if self.get_unit_property(unit, "ActiveState") != "active":
                    raise ScenarioFailed(f"{unit} is {state}\n{self._about(unit)}")
                return
            if time.monotonic() > end:
                raise ScenarioFailed(f"{unit} is {state} after {timeout} s\n{self._about(unit)}")
            self._pause()

    def start_job(self, unit: str, user: str | None = None) -> tuple[int, str]:
        """Starts a unit."""
        return self.systemctl(f"start {unit}", user)

    def stop_job(self, unit: str, user: str | None = None) -> tuple[int, str]:
        """Stops a unit."""
        return self.systemctl(f"stop {unit}", user)

    # --- other things to wait for --------------------------------------

    def wait_for_file(self, filename: str, timeout: int = DEFAULT_TIMEOUT) -> None:
        """Waits until a file exists."""
        self.wait_until_succeeds(f"test -e {shlex.quote(filename)}", timeout)

    def wait_for_open_port(self, port: int, addr: str = "localhost", timeout: int = DEFAULT_TIMEOUT) -> None:
        """Waits until a TCP port accepts connections."""
        self.wait_until_succeeds(f"bash -c '</dev/tcp/{addr}/{port}'", timeout)

    def wait_for_closed_port(self, port: int, addr: str = "localhost", timeout: int = DEFAULT_TIMEOUT) -> None:
        """Waits until a TCP port refuses connections."""
        self.wait_until_fails(f"bash -c '</dev/tcp/{addr}/{port}'", timeout)

    def wait_for_console_text(self, text: str, timeout: int = DEFAULT_TIMEOUT) -> None:
        """Waits until a text is on the machine's console."""
        end = self._end(timeout)
        while text not in self._bed.console():
            if time.monotonic() > end:
                raise ScenarioFailed(f"the console never said {text!r}")
            self._pause()

    def sleep(self, secs: int) -> None:
        """Lets time pass on the machine."""
        self.succeed(f"sleep {secs}")

    def log(self, text: str) -> None:
        """Adds a line to the log."""
        self._say(f"{self.name}: {text}")

    # --- below ---------------------------------------------------------

    def _run(self, command: str, timeout: float | None) -> Answer:
        self.start()
        self._say(f"{self.name}: {command}")
        seconds = self._patience(DEFAULT_TIMEOUT if timeout is None else timeout)
        try:
            return self._bed.execute(command, seconds)
        except TimeoutError as error:
            raise ScenarioFailed(f"`{command}` took longer than {seconds} s") from error

    def _patience(self, timeout: float) -> float:
        """The limit in seconds for `timeout` on this bed. The default is long
        enough for the slowest bed."""
        return max(timeout, min(timeout * self._bed.slowness, DEFAULT_TIMEOUT))

    def _pause(self) -> None:
        time.sleep(PAUSE * self._bed.slowness)

    def _end(self, timeout: float) -> float:
        return time.monotonic() + self._patience(timeout)

    def _wait_for(
        self, command: str, is_met: Callable[[Answer], bool], how: str, timeout: float
    ) -> Answer:
        end = self._end(timeout)
        while True:
            answer = self._run(command, max(1, timeout))
            if is_met(answer):
                return answer
            if time.monotonic() > end:
                raise ScenarioFailed(f"`{command}` did not {how} within {timeout} s\n{both(answer)}")
            self._pause()

    def _has_jobs(self) -> bool:
        return "No jobs" not in self.execute("systemctl list-jobs --full 2>&1")[1]

    def _about(self, unit: str) -> str:
        return self.execute(f"systemctl --no-pager --full --lines=50 status {shlex.quote(unit)} 2>&1")[1]


def both(answer: Answer) -> str:
    """Output and errors of a command."""
    return (answer.output + answer.errors).strip()


def words(machine: Machine, say: Callable[[str], None]) -> dict[str, object]:
    """The names that a scenario's script can use."""

    @contextmanager
    def subtest(name: str):
        say(f"subtest: {name}")
        try:
            yield
        except Exception as error:
            raise ScenarioFailed(f"in \"{name}\": {error}") from error

    return {
        "machine": machine,
        "machines": [machine],
        machine.name: machine,
        "start_all": machine.start,
        "subtest": subtest,
    }
