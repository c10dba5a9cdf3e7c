"""Runs scenarios one after the other and reports the results."""

import sys
import time
import traceback
from pathlib import Path
from typing import TextIO

from .bed import Bed
from .machine import Machine, ScenarioFailed, words

# How much of a failed machine's console is shown, in lines.
CONSOLE_LINES = 60


class Report:
    """Collects results, and prints each with its time."""

    def __init__(self, log: TextIO):
        self._log = log
        self._begin = time.monotonic()
        self._said = ""
        self._rows: list[tuple[str, str, float]] = []

    def run(self, scenario: Path, bed: Bed) -> None:
        """Runs one scenario's script on a bed."""
        self._say(f"=== {scenario.stem}")
        machine = Machine("machine", bed, self._say)
        begin = time.monotonic()
        try:
            exec(compile(scenario.read_text(), scenario, "exec"), words(machine, self._say))
            result = "ok"
        except Exception as error:
            result = "FAILED"
            self._explain(scenario, error, bed)
        self._rows.append((scenario.stem, result, time.monotonic() - begin))

    def fail(self, scenario: Path, reason: str) -> None:
        """Reports a scenario whose host could not be made."""
        print(f"{scenario}: {reason}", file=sys.stderr)
        self._rows.append((scenario.stem, "FAILED", 0.0))

    def print_table(self) -> bool:
        """Prints all results; whether none is a failure."""
        print("| scenario | result | s |\n|---|---|---:|")
        for name, result, seconds in self._rows:
            print(f"| {name} | {result} | {seconds:.1f} |")
        print(f"| all, with their hosts | | {time.monotonic() - self._begin:.1f} |")
        return all(result != "FAILED" for _, result, _ in self._rows)

    def _say(self, text: str) -> None:
        # A wait repeats its command.
        if text != self._said:
            print(text, file=self._log, flush=True)
        self._said = text

    def _explain(self, scenario: Path, error: Exception, bed: Bed) -> None:
        line = next(
            (frame.lineno for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame.filename == str(scenario)),
            "?",
        )
        what = str(error) if isinstance(error, ScenarioFailed) else "".join(traceback.format_exception(error))
        print(f"{scenario}:{line}: {what}", file=sys.stderr)
        print("The end of the machine's console:", file=sys.stderr)
        print("\n".join(said_by(bed).splitlines()[-CONSOLE_LINES:]), file=sys.stderr)


def said_by(bed: Bed) -> str:
    """A console's output, or why it cannot be read."""
    try:
        return bed.console()
    except Exception as error:
        return str(error)
