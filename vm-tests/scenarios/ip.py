def fetch(address):
    request = "GET / HTTP/1.0\\r\\n\\r\\n"
    return f"bash -c \"exec 3<>/dev/tcp/{address}/80; printf '{request}' >&3; grep -q '^HTTP/1.* 200' <&3\""


machine.wait_for_unit("container@web4.service")
machine.wait_for_unit("container@web6.service")

for name, address in [("web4", "192.168.0.100"), ("web6", "fc00::2")]:
    with subtest(f"{address} answers"):
        assert machine.succeed(f"nixos-container show-ip {name}").strip() == address
        machine.succeed(f"ping -n -c 1 {address}")
        machine.wait_until_succeeds(fetch(address), timeout=30)

    with subtest("It answers after a restart, and not while it is down"):
        machine.succeed(f"nixos-container stop {name}")
        machine.fail(f"ping -n -c 1 -W 1 {address}")
        machine.succeed(f"systemctl start container@{name}")
        machine.succeed(f"ping -n -c 1 {address}")

with subtest("A declarative container is not destroyed"):
    machine.fail("nixos-container destroy web4")
    machine.succeed("systemctl is-active container@web4")
