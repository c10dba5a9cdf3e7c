# Times `systemctl start` of a container's unit, which returns when its systemd
# has reached multi-user.target, and `systemctl stop`, which returns when the
# container is gone; in turns, on one machine with the same systems.
from statistics import median

ROUNDS = 7

# Bash's clock, in microseconds. After a stop, the kernel needs a moment to remove
# the container's remains.
TIMED = """
times=
for action in start stop; do
    begin=${{EPOCHREALTIME/.}}
    systemctl $action {unit}
    times="$times $((${{EPOCHREALTIME/.}} - begin))"
done
echo $times
sleep 1
"""


def seconds(unit):
    return [int(time) / 1e6 for time in machine.succeed(TIMED.format(unit=unit)).split()]


machine.wait_for_unit("multi-user.target")
machine.succeed("mkdir -p /nix/var/nix/daemon-socket")

rows = []
for network, name in [("none of its own", "alone"), ("link to the host", "linked")]:
    units = [f"container@{name}.service", f"nspawn@{name}.service"]
    # The first start makes the root directory.
    for unit in units:
        seconds(unit)
    ours, theirs = zip(*([seconds(unit) for unit in units] for _ in range(ROUNDS)))
    for number, what in enumerate(["boot to multi-user.target", "`systemctl stop`"]):
        mine, nspawns = (median(times[number] for times in each) for each in (ours, theirs))
        rows.append(f"| {what} | {network} | {mine:.2f} s | {nspawns:.2f} s | {mine / nspawns:.2f} x |")

print(f"Medians of {ROUNDS} rounds on one machine:\n")
print("| | network | nixos-container | systemd-nspawn | |")
print("|---|---|---:|---:|---:|")
print("\n".join(rows))
print()
