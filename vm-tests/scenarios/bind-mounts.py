machine.wait_for_unit("container@player.service")

with subtest("A file that the host writes appears inside"):
    machine.succeed("echo song >/srv/music/one")
    machine.succeed("nixos-container run player -- grep song /music/one")

with subtest("A read-only bind cannot be written to"):
    machine.fail("nixos-container run player -- touch /music/two")

with subtest("A writable bind can be written to"):
    machine.succeed("nixos-container run player -- touch /work/two")
    machine.succeed("test -e /srv/music/two")

with subtest("A path may contain a blank"):
    machine.succeed("echo song >'/srv/more music/three'")
    machine.succeed("nixos-container run player -- grep song '/more music/three'")
