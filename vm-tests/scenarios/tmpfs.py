machine.wait_for_unit("container@scratch.service")

with subtest("Each path is a tmpfs, with its options"):
    for path in ["/var", "/some/random/path"]:
        machine.succeed(f"nixos-container run scratch -- grep -q ' {path} tmpfs ' /proc/mounts")
    machine.fail("nixos-container run scratch -- dd if=/dev/zero of=/some/random/path/big bs=1M count=2")

with subtest("Files there never reach the host"):
    machine.succeed("nixos-container run scratch -- touch /var/file /root/file")
    machine.succeed("test -e /var/lib/nixos-containers/scratch/root/file")
    machine.fail("test -e /var/lib/nixos-containers/scratch/var/file")
