# The boot of a container: which of systemd's own units take part.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
in
{
  options.boot = {
    isContainer = mkOption {
      type = types.bool;
      default = false;
      description = "Whether this is the system of a container. Here it has to be: there is no kernel.";
    };
    tmp.cleanOnBoot = mkOption {
      type = types.bool;
      default = false;
      description = "Whether /tmp is emptied at boot.";
    };
  };

  config = {
    assertions = [
      {
        assertion = config.boot.isContainer;
        message = "mini-nixpkgs builds systems of containers only: set boot.isContainer = true";
      }
    ];

    # The program directories of the tree, as symbolic links. The root may have
    # an empty directory of that name.
    system.activationScripts.usr = ''
      for dir in usr bin lib lib64 sbin; do
        [ -L /$dir ] || [ ! -d /$dir ] || rmdir /$dir || {
          echo "/$dir has files of its own, and has to be a link into the store: move it away" >&2
          exit 1
        }
      done
      [ /usr -ef ${pkgs.tree}/usr ] || ln -sfn ${pkgs.tree}/usr /usr
      for dir in bin lib lib64 sbin; do
        [ -L /$dir ] || ln -s usr/$dir /$dir
      done
    '';

    # It says what debian.conf says too, and each run of systemd-tmpfiles would
    # complain.
    environment.etc."tmpfiles.d/legacy.conf".source = "/dev/null";

    systemd.upstreamWants = {
      "sysinit.target" = [
        "systemd-journald.service"
        "systemd-journal-flush.service"
        "systemd-tmpfiles-setup.service"
      ];
      "sockets.target" = [
        "dbus.socket"
        "systemd-journald-dev-log.socket"
        "systemd-journald.socket"
      ];
      "timers.target" = [ "systemd-tmpfiles-clean.timer" ];
      "getty.target" = [ "console-getty.service" ];
      "multi-user.target" = [
        "dbus.service"
        "getty.target"
        "systemd-logind.service"
        "systemd-user-sessions.service"
      ];
    };

    # What a unit of the tree would pull in and a container has no use for:
    # file systems and swap come from the runtime, the console is no keyboard.
    systemd.services = lib.genAttrs [
      "systemd-firstboot"
      "systemd-fsck-root"
      "systemd-remount-fs"
      "modprobe@"
    ] (_: { enable = false; });
  };
}
