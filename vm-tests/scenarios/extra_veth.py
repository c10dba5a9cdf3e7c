machine.wait_for_unit("container@web.service")

with subtest("The container has all links"):
    links = machine.succeed("nixos-container run web -- ip -o link")
    for link in ["eth0", "veth1", "veth2"]:
        assert f" {link}@" in links, links

with subtest("The host has their other ends, with the configured names"):
    machine.succeed("ip link show to-web")
    machine.succeed("ip -o link show master br1 | grep -q .")

with subtest("Each link leads to the container"):
    for address in ["192.168.0.100", "192.168.111.100", "192.168.2.100"]:
        machine.succeed(f"ping -n -c 1 {address}")

with subtest("The links return after a restart"):
    machine.succeed("nixos-container stop web")
    machine.wait_until_fails("ip link show to-web", timeout=30)
    machine.succeed("nixos-container start web")
    machine.succeed("ping -n -c 1 192.168.2.100")
