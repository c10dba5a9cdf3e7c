def fetch(address):
    request = "GET / HTTP/1.0\\r\\n\\r\\n"
    return f"bash -c \"exec 3<>/dev/tcp/{address}/8080; printf '{request}' >&3; grep -q '^HTTP/1.* 200' <&3\""


machine.wait_for_unit("container@web.service")

with subtest("The port answers at the host's address and on its loopback"):
    machine.wait_until_succeeds(fetch("192.168.0.1"), timeout=30)
    machine.succeed(fetch("127.0.0.1"))

with subtest("The port is closed while the container is down"):
    machine.succeed("nixos-container stop web")
    machine.fail(fetch("192.168.0.1"))
    machine.succeed("nixos-container start web")
    machine.wait_until_succeeds(fetch("192.168.0.1"), timeout=30)
