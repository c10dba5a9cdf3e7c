machine.wait_for_unit("container@fresh.service")

with subtest("Its files are gone at the next start"):
    machine.succeed("nixos-container run fresh -- sh -c 'test -d /var/lib/data && touch /var/lib/data/file'")
    machine.succeed("nixos-container stop fresh", "nixos-container start fresh")
    machine.fail("nixos-container run fresh -- test -e /var/lib/data/file")

with subtest("The host has none of its files"):
    machine.fail("test -e /var/lib/nixos-containers/fresh/var/lib/data")

with subtest("It leaves nothing when it stops"):
    machine.succeed("ls /run/nixos-containers/fresh", "nixos-container stop fresh")
    machine.fail("ls /run/nixos-containers/fresh")
