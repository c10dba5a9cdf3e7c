machine.wait_for_unit("container@web.service")
machine.succeed("ping -n -c 1 192.168.1.122")

with subtest("The container survives a bridge that goes down and up"):
    machine.succeed("ip link set br0 down")
    machine.fail("ping -n -c 1 -W 1 192.168.1.122")
    machine.succeed("ip link set br0 up")
    machine.wait_until_succeeds("ping -n -c 1 -W 1 192.168.1.122", timeout=30)

with subtest("The container joins a bridge that is made anew"):
    machine.succeed(
        "ip link delete br0",
        "ip link add br0 type bridge",
        "ip address add 192.168.1.1/24 dev br0",
        "ip link set br0 up",
    )
    machine.wait_until_succeeds("ping -n -c 1 -W 1 192.168.1.122", timeout=30)
