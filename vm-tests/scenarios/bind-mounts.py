machine.wait_for_unit("container@player.service")

with subtest("What the host writes is seen inside"):
    machine.succeed("echo song >/srv/music/one")
    machine.succeed("nixos-container run player -- grep song /music/one")

with subtest("A path that is bound to be read is not written to"):
    machine.fail("nixos-container run player -- touch /music/two")

with subtest("A path that is bound to be written to is"):
    machine.succeed("nixos-container run player -- touch /work/two")
    machine.succeed("test -e /srv/music/two")
