machine.wait_for_unit("card.service")
machine.succeed("nixos-container start server")

with subtest("The container has the interface, the host does not"):
    machine.fail("ip link show card")
    machine.succeed("nixos-container run server -- ip addr add 10.10.0.2/24 dev card")
    machine.succeed("nixos-container run server -- ip link set card up")
    machine.wait_until_succeeds("ping -n -c 1 10.10.0.2", timeout=30)

with subtest("The host has it again after a stop"):
    machine.succeed("nixos-container stop server")
    machine.wait_until_succeeds("ip link show card", timeout=30)
