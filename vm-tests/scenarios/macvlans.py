machine.wait_for_unit("card.service")
machine.succeed("nixos-container start one two")

for number, name in enumerate(["one", "two"], start=1):
    machine.succeed(f"nixos-container run {name} -- ip addr add 192.168.1.10{number}/24 dev mv-card")
    machine.succeed(f"nixos-container run {name} -- ip link set mv-card up")

with subtest("Containers on one card reach each other and the machine at the other end"):
    machine.wait_until_succeeds("nixos-container run one -- ping -n -c 1 192.168.1.102", timeout=30)
    machine.wait_until_succeeds("nixos-container run two -- ping -n -c 1 192.168.1.1", timeout=30)
