# The boot of a container: which of systemd's own units take part.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  # File systems that the activation mounts, with the options of systemd's mount
  # table (src/shared/mount-setup.c). A container of systemd-nspawn has most of them
  # before its init.
  specialFileSystems = {
    "/run/keys" = "ramfs nosuid,nodev,mode=750";
  }
  // lib.optionalAttrs (!config.boot.isNspawnContainer) {
    "/proc" = "proc nosuid,noexec,nodev";
    "/run" = "tmpfs nosuid,nodev,strictatime,mode=755,size=25%";
    "/dev" = "devtmpfs nosuid,strictatime,mode=755,size=5%";
    "/dev/shm" = "tmpfs nosuid,nodev,strictatime,mode=1777,size=50%";
    "/dev/pts" = "devpts nosuid,noexec,mode=620,ptmxmode=0666,gid=3";
  };
  special =
    target: kind:
    let
      words = lib.splitString " " kind;
      fsType = builtins.head words;
    in
    ''specialMount "${fsType}" "${target}" "${lib.last words}" "${fsType}"'';
  # Parents before what is mounted below them.
  inOrder = builtins.sort (a: b: builtins.stringLength a < builtins.stringLength b) (
    builtins.attrNames specialFileSystems
  );
in
{
  options.boot = {
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
        message = "mini-nixpkgs builds systems of containers only: set boot.isNspawnContainer = true";
      }
    ];

    system.build.earlyMountScript = pkgs.writeText "mounts.sh" (
      lib.concatMapStrings (target: special target specialFileSystems.${target} + "\n") inOrder
    );
    system.activationScripts.specialfs = ''
      specialMount() {
        local device=$1 target=$2 options=$3 kind=$4
        if mountpoint -q "$target"; then
          options=remount,$options
        else
          mkdir -p "$target"
        fi
        mount -t "$kind" -o "$options" "$device" "$target"
      }
      . ${config.system.build.earlyMountScript}
    '';

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
