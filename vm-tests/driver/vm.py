"""A bed that is a whole machine: Debian 13 on QEMU without KVM.

One machine boots. Each scenario goes on from the snapshot that was taken of it
then, memory and disk: nothing of another scenario is there, and nothing has to
be cleaned up.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .bed import Answer, Bed, Beds
from .qemu import Qemu
from .script import strict

here = Path(__file__).resolve().parent.parent
root = here.parent

# The snapshot of the machine after its boot, before any scenario.
CLEAN = "clean"

# Factor for time limits: emulation is slow, and the machine has other work.
SLOWNESS = 20

# Installs files beside those of `make install`.
MINI_NIXPKGS = Path("mini-nixpkgs")
SCENARIOS = Path("scenarios")
STORE_DATABASE = Path("nix/store.dump")

# The store is read-only to all programs but Nix, as on NixOS. The module's limit
# of a minute for a boot is multiplied by the slowness: four boots at once take
# longer than a minute. The name sorts after the generator's (50-conf.conf).
INSTALL = f"""
tar -C / -xf /dev/vdb
nix-store --load-db </{STORE_DATABASE}
echo '/nix/store /nix/store none bind,ro' >>/etc/fstab
mkdir -p /etc/systemd/system/container@.service.d
printf '[Service]\\nTimeoutStartSec={SLOWNESS}min\\n' >/etc/systemd/system/container@.service.d/90-emulated.conf
systemctl daemon-reload
mount /nix/store
systemctl is-system-running --wait
"""

# Applies a configuration, like `nixos-rebuild switch` on NixOS.
APPLY = """
cp -r {directory}/etc/. /etc
cat {directory}/hosts >>/etc/hosts
systemd-tmpfiles --create scenario.conf
systemctl daemon-reload
systemctl start --no-block multi-user.target
"""


class Machines(Beds):
    """The machine that all scenarios start from, booted and saved."""

    def __init__(self, image: Path, scenarios: Iterable[Path]):
        """`image` is the directory that vm-tests/vm/make-disk has made."""
        self._lock = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self.image = image
        self._directory = tempfile.TemporaryDirectory()
        self.directory = Path(self._directory.name)
        self.disk = self.directory / "disk"
        self.cargo = self.directory / "cargo"
        self._console = self.directory / "console"
        pack(scenarios, self.cargo)
        call("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image / "disk"), str(self.disk))
        machine = self.start()
        try:
            installed = machine.execute(strict(INSTALL), 900)
            if installed.status != 0:
                raise RuntimeError(f"the machine cannot be prepared: {installed.errors}\n{self.console()}")
            machine.take_snapshot(CLEAN)
        finally:
            machine.kill()

    def bed(self, scenario: Path) -> "Vm":
        return Vm(self, scenario)

    def start(self, snapshot: str | None = None) -> Qemu:
        """Switches the machine on, or resumes its saved state."""
        return Qemu(self.image, self.disk, self.cargo, self._console, snapshot)

    def console(self) -> str:
        """The output on the console since the machine's last start."""
        return self._console.read_text(errors="replace")

    def remove(self) -> None:
        self._directory.cleanup()
        os.close(self._lock)


class Vm(Bed):
    """The machine of one scenario."""

    slowness = SLOWNESS

    def __init__(self, machines: Machines, scenario: Path):
        self._machines = machines
        self._scenario = scenario
        self._machine: Qemu | None = None
        self._is_fresh = True

    def start(self) -> None:
        self._machine = self._machines.start(CLEAN if self._is_fresh else None)
        if self._is_fresh:
            self._is_fresh = False
            applied = self.execute(APPLY.format(directory=f"/{SCENARIOS}/{self._scenario.stem}"), 300)
            if applied.status != 0:
                raise RuntimeError(f"the scenario's configuration cannot be put in place: {applied.errors}")

    def execute(self, command: str, timeout: float) -> Answer:
        return self._running().execute(strict(command), timeout)

    def shutdown(self, timeout: float) -> None:
        machine = self._running()
        machine.execute("systemctl poweroff --no-block", timeout)
        machine.wait(timeout)
        self._machine = None

    def crash(self) -> None:
        self._running().kill()
        self._machine = None

    def console(self) -> str:
        return self._machines.console()

    def remove(self) -> None:
        if self._machine is not None:
            self.crash()

    def _running(self) -> Qemu:
        if self._machine is None:
            raise RuntimeError("the machine is switched off")
        return self._machine


def pack(scenarios: Iterable[Path], cargo: Path) -> None:
    """Makes the archive of this project's files on the machine: the command as `make
    install` does it, mini-nixpkgs, and the scenarios' configurations with all
    that they need of the store but the tree, which the disk has."""
    with tempfile.TemporaryDirectory(dir=cargo.parent) as stage:
        tree = Path(stage)
        call("make", "--silent", "-C", str(root), "install", f"DESTDIR={stage}", "PREFIX=/usr/local")
        shutil.copytree(root / "tests/mini-nixpkgs", tree / MINI_NIXPKGS)
        (tree / SCENARIOS).mkdir()
        program = tree / "usr/local/bin/nixos-container"
        configurations = []
        for scenario in scenarios:
            configuration = build(scenario, program)
            (tree / SCENARIOS / scenario.stem).symlink_to(configuration)
            configurations.append(configuration)
        closure = call("nix-store", "--query", "--requisites", *configurations).split()
        (tree / "nix/store").mkdir(parents=True)
        (tree / STORE_DATABASE).write_text(call("nix-store", "--dump-db", *closure))
        copied = [path for path in closure if not path.endswith("-debian-13-tree")]
        call("cp", "-a", *copied, str(tree / "nix/store"))
        # Not the directory itself, whose mode is not that of a root directory.
        call("tar", "-C", stage, "-cf", str(cargo), *os.listdir(stage))


def build(scenario: Path, program: Path) -> str:
    """The files of a scenario's configuration for a Debian host, in the store."""
    expression = f"import {here}/debian.nix {{ program = {program}; scenario = {scenario.with_suffix('.nix')}; }}"
    return call("nix-build", "--no-out-link", "-E", expression).strip()


def call(*command: str) -> str:
    """Runs a command, which must succeed; returns its output."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
