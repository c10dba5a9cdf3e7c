machine.wait_for_unit("container@outer.service")
machine.wait_until_succeeds(
    "nixos-container run outer -- systemctl is-active container@inner.service", timeout=60
)
machine.succeed("nixos-container run outer -- nixos-container run inner -- hostname | grep -q inner")
