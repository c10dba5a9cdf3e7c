machine.wait_for_unit("multi-user.target")

with subtest("Create with a free name"):
    names = [
        machine.succeed("nixos-container create foo --ensure-unique-name --config 'services.openssh.enable = true;'").strip()
        for _ in range(2)
    ]
    assert names == ["foo", "foo-0"], names
    machine.fail("nixos-container create foo")
    assert machine.succeed("nixos-container list").split() == ["foo", "foo-0"]

with subtest("The command starts the unit"):
    assert machine.succeed("nixos-container status foo").strip() == "down"
    machine.succeed("nixos-container start foo")
    machine.require_unit_state("container@foo.service")
    assert machine.succeed("nixos-container status foo").strip() == "up"
    address = machine.succeed("nixos-container show-ip foo").strip()
    machine.succeed(f"ping -n -c 1 {address}")

with subtest("Files of the host below the container's root survive it"):
    machine.succeed("mkdir -p /srv/data", "echo kept >/srv/data/file")
    machine.succeed("nixos-container stop foo")
    machine.succeed(
        "echo 'EXTRA_NSPAWN_FLAGS=\"--bind=/srv/data:/var/lib/data\"' >>/etc/nixos-containers/foo.conf"
    )
    machine.succeed("nixos-container start foo")
    machine.succeed("nixos-container run foo -- grep -q kept /var/lib/data/file")

with subtest("Its unit allows its devices"):
    machine.succeed("nixos-container run foo -- bash -c ': <>/dev/net/tun'")
    machine.succeed("echo 'ALLOWED_DEVICES=\"/dev/kmsg r, char-input* rw\"' >>/etc/nixos-containers/foo.conf")
    machine.succeed("nixos-container restart foo")
    allowed = machine.succeed("systemctl show container@foo -p DeviceAllow").split("\n")
    for device in ["/dev/net/tun rwm", "/dev/kmsg r", "char-input* rw"]:
        assert f"DeviceAllow={device}" in allowed, allowed
    machine.succeed("nixos-container run foo -- bash -c ': <>/dev/net/tun'")

with subtest("systemd stops it and starts it again"):
    machine.succeed("systemctl stop container@foo")
    assert machine.succeed("nixos-container status foo").strip() == "down"
    machine.succeed("systemctl start container@foo")
    assert machine.succeed("nixos-container status foo").strip() == "up"

with subtest("Restart and terminate"):
    machine.succeed("nixos-container restart foo")
    machine.succeed("nixos-container run foo -- systemctl is-system-running --wait")
    machine.succeed("nixos-container terminate foo")
    machine.wait_until_succeeds("nixos-container status foo | grep -q down", timeout=30)

with subtest("Destroy keeps files of the host"):
    machine.succeed("nixos-container destroy foo", "nixos-container destroy foo-0")
    assert machine.succeed("nixos-container list") == ""
    machine.succeed("grep -q kept /srv/data/file")
    machine.fail("test -e /var/lib/nixos-containers/foo")
