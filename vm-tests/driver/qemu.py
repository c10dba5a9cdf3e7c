"""One run of a machine, from power on to power off: a process of QEMU."""

import base64
import json
import socket
import subprocess
import time
from pathlib import Path

from .bed import Answer

# Longest boot, in seconds. An emulated machine takes about a minute.
BOOT_TIMEOUT = 600

# Longest time between a command's end and the shell's answer, in seconds.
GRACE = 120

# Exit status of timeout(1).
TIMED_OUT = 124


class Qemu:
    """A machine that is switched on, with a shell and QEMU's monitor."""

    def __init__(self, image: Path, disk: Path, cargo: Path, console: Path, snapshot: str | None = None):
        """Boots from `disk`, or goes on where `snapshot` of it was taken.

        `image` has the kernel, `cargo` is a file that the machine sees as its
        second disk, and `console` is written to.
        """
        self._shell, shell = socket.socketpair()
        self._monitor, monitor = socket.socketpair()
        self._answers = b""
        self._asked = 0
        command = [
            # QEMU is killed when the driver ends.
            *("setpriv", "--pdeathsig", "KILL"),
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"),
            *("-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd")),
            *("-append", "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0"),
            # A disk with a write cache: flushed data survives a power cut, other
            # data may be lost.
            *("-drive", f"file={disk},if=virtio,format=qcow2,cache=writeback"),
            *("-drive", f"file={cargo},if=virtio,format=raw,readonly=on"),
            *("-device", "virtio-rng-pci"),
            *("-serial", f"file:{console}"),
            *("-device", "virtio-serial", "-device", "virtserialport,chardev=shell,name=shell"),
            *("-chardev", f"socket,id=shell,fd={shell.fileno()}"),
            *("-chardev", f"socket,id=monitor,fd={monitor.fileno()}", "-mon", "chardev=monitor,mode=control"),
        ]
        if snapshot is not None:
            command += ["-loadvm", snapshot]
        with shell, monitor:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(shell.fileno(), monitor.fileno()),
            )
        try:
            # The shell answers once the machine is up.
            self.execute("true", BOOT_TIMEOUT)
        except BaseException:
            self.kill()
            raise

    def execute(self, command: str, timeout: float) -> Answer:
        """Runs a shell command as root; TimeoutError after that many seconds."""
        self._asked += 1
        encoded = base64.b64encode(command.encode()).decode()
        self._shell.sendall(f"{self._asked} {max(1, round(timeout))} {encoded}\n".encode())
        # The machine's timeout ends the command; the driver's, a hanging machine.
        end = time.monotonic() + timeout + GRACE
        while True:
            number, status, output, errors = self._line(end).split(b" ")
            # A restarted shell has no answer to an earlier command.
            if int(number) == self._asked:
                break
        if int(status) == TIMED_OUT:
            raise TimeoutError
        return Answer(int(status), text(output), text(errors))

    def take_snapshot(self, name: str) -> None:
        """Saves memory and disk in the disk's file."""
        with self._monitor.makefile("rw") as monitor:

            def ask(execute: str, **arguments: str) -> str:
                monitor.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
                monitor.flush()
                # Lines of events come in between.
                while "return" not in (answer := json.loads(monitor.readline())):
                    if "error" in answer:
                        raise RuntimeError(f"QEMU's monitor: {answer['error']}")
                return answer["return"]

            ask("qmp_capabilities")
            # The answer to a failed command is the reason.
            if reason := ask("human-monitor-command", **{"command-line": f"savevm {name}"}):
                raise RuntimeError(f"no snapshot of the machine: {reason}")

    def wait(self, timeout: float) -> None:
        """Waits until the machine is switched off."""
        self._process.wait(timeout)
        self._close()

    def kill(self) -> None:
        """Cuts the power."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _line(self, end: float) -> bytes:
        """The shell's next line, before `end`."""
        while b"\n" not in self._answers:
            self._shell.settimeout(max(0.1, end - time.monotonic()))
            try:
                said = self._shell.recv(1 << 16)
            except TimeoutError:
                raise RuntimeError("the machine's shell does not answer") from None
            if not said:
                raise RuntimeError(f"the machine went off: {self._last_words()}")
            self._answers += said
        line, _, self._answers = self._answers.partition(b"\n")
        return line

    def _last_words(self) -> str:
        _, errors = self._process.communicate()
        return errors.decode(errors="replace").strip() or f"QEMU exited with {self._process.returncode}"

    def _close(self) -> None:
        self._shell.close()
        self._monitor.close()
        if self._process.stderr is not None:
            self._process.stderr.close()


def text(encoded: bytes) -> str:
    """A text as the machine's shell sends it."""
    return base64.b64decode(encoded).decode(errors="replace")
