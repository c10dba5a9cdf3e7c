names = [
    "first",
    "second-very-long-name-of-a-container",
    "second-very-long-name-of-another",
    "third-with-numbers-2001",
]
for name in names:
    machine.wait_for_unit(f"container@{name}.service")

with subtest("Each link is found by the container's full name"):
    for name in names:
        machine.succeed(f"ip link show ve-{name}")

with subtest("Each container answers at its address"):
    for number, name in enumerate(names, start=1):
        machine.succeed(f"ping -n -c 1 192.168.{number}.2")
        assert machine.succeed(f"nixos-container run {name} -- hostname").strip() == name
