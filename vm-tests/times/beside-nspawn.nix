# Two systems, each run by the command and by systemd-nspawn as nixpkgs' module
# (25.05) runs it.
{ pkgs, ... }:
let
  # Only busybox runs before stage 2 has made /usr.
  containerInit = pkgs.writeScript "container-init" ''
    #!${pkgs.busybox}/bin/busybox sh
    trap "exit 0" RTMIN+3
    if [ -n "$HOST_ADDRESS" ]; then
      ip link set host0 name eth0
      ip link set dev eth0 up
      ip addr add "$LOCAL_ADDRESS" dev eth0
      ip route add "$HOST_ADDRESS" dev eth0
      ip route add default via "$HOST_ADDRESS"
    fi
    . "$1"
  '';
in
{
  containers.alone.config = { };
  containers.linked = {
    privateNetwork = true;
    hostAddress = "192.168.0.1";
    localAddress = "192.168.0.2";
    config = { };
  };

  systemd.services."nspawn@" = {
    description = "Container '%i', by systemd-nspawn";
    path = [ "/usr" ];
    environment.INSTANCE = "%i";
    environment.root = "/var/lib/nspawn/%i";
    preStart = ''
      machinectl terminate "$INSTANCE" 2>/dev/null || true
      if [ -n "$HOST_ADDRESS" ]; then
        ip link del dev "ve-$INSTANCE" 2>/dev/null || true
        ip link del dev "vb-$INSTANCE" 2>/dev/null || true
      fi
    '';
    script = ''
      mkdir -p "$root/etc" "$root/var/lib"
      chmod 0755 "$root/etc" "$root/var/lib"
      mkdir -p "$root/var/lib/private" "$root/root" /run/nixos-containers
      chmod 0700 "$root/var/lib/private" "$root/root" /run/nixos-containers
      if ! [ -e "$root/etc/os-release" ] && ! [ -h "$root/etc/os-release" ]; then
        touch "$root/etc/os-release"
      fi
      if ! [ -e "$root/etc/machine-id" ]; then
        touch "$root/etc/machine-id"
      fi
      mkdir -p \
        "/nix/var/nix/profiles/per-container/$INSTANCE" \
        "/nix/var/nix/gcroots/per-container/$INSTANCE"
      chmod 0755 \
        "/nix/var/nix/profiles/per-container/$INSTANCE" \
        "/nix/var/nix/gcroots/per-container/$INSTANCE"
      cp --remove-destination /etc/resolv.conf "$root/etc/resolv.conf"

      # nixpkgs' systemd-nspawn is patched not to ask for it.
      rm -f "$root/usr"
      mkdir -p "$root/usr"

      declare -a extraFlags
      if [ "$PRIVATE_NETWORK" = 1 ]; then
        extraFlags+=("--private-network")
      fi
      if [ -n "$HOST_ADDRESS" ]; then
        extraFlags+=("--network-veth")
      fi
      exec systemd-nspawn \
        --keep-unit \
        -M "$INSTANCE" -D "$root" "''${extraFlags[@]}" \
        $EXTRA_NSPAWN_FLAGS \
        --notify-ready=yes \
        --kill-signal=SIGRTMIN+3 \
        --bind-ro=/nix/store \
        --bind-ro=/nix/var/nix/db \
        --bind-ro=/nix/var/nix/daemon-socket \
        --bind="/nix/var/nix/profiles/per-container/$INSTANCE:/nix/var/nix/profiles" \
        --bind="/nix/var/nix/gcroots/per-container/$INSTANCE:/nix/var/nix/gcroots" \
        --link-journal=try-guest \
        --setenv PRIVATE_NETWORK="$PRIVATE_NETWORK" \
        --setenv HOST_BRIDGE="$HOST_BRIDGE" \
        --setenv HOST_ADDRESS="$HOST_ADDRESS" \
        --setenv LOCAL_ADDRESS="$LOCAL_ADDRESS" \
        --setenv HOST_ADDRESS6="$HOST_ADDRESS6" \
        --setenv LOCAL_ADDRESS6="$LOCAL_ADDRESS6" \
        --setenv HOST_PORT="$HOST_PORT" \
        --setenv PATH="$PATH" \
        ${containerInit} "''${SYSTEM_PATH:-/nix/var/nix/profiles/system}/init"
    '';
    postStart = ''
      if [ -n "$HOST_ADDRESS" ]; then
        ip link set dev "ve-$INSTANCE" up
        ip addr add "$HOST_ADDRESS" dev "ve-$INSTANCE"
        ip route add "$LOCAL_ADDRESS" dev "ve-$INSTANCE"
      fi
    '';
    serviceConfig = {
      SyslogIdentifier = "container %i";
      EnvironmentFile = "-/etc/nixos-containers/%i.conf";
      Type = "notify";
      RestartForceExitStatus = "133";
      SuccessExitStatus = "133";
      Restart = "on-failure";
      Slice = "machine.slice";
      Delegate = true;
      KillMode = "mixed";
      KillSignal = "TERM";
      DevicePolicy = "closed";
    };
  };
}
