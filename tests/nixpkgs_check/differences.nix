# What differs on a host with this project's module from one with nixpkgs' alone, as
# extended regular expressions, with the reason. compare.nix compares all lines of
# units, conf files and names; a difference that is not here is an error.
[
  {
    reason = "one program does what nixpkgs' scripts do";
    here = [
      "unit .*: ExecStart=/nix/store/[^ ]*-nixos-container-[0-9.]*/bin/nixos-container supervise %i"
      "unit .*: ExecReload=/nix/store/[^ ]*-nixos-container-[0-9.]*/bin/nixos-container activate %i"
    ];
    nixpkgs = [
      "unit .*: ExecStart=/nix/store/.*-start *"
      "unit .*: ExecStartPre=/nix/store/.*-pre-start *"
      "unit .*: ExecStartPost=/nix/store/.*-post-start *"
      "unit .*: ExecReload=/nix/store/.*-reload-container"
    ];
  }
  {
    reason = "shell commands that a configuration adds to `script` run before the program";
    here = [ "unit container@hooks: ExecStart=/nix/store/[^ ]*-container-start %i" ];
    nixpkgs = [ ];
  }
  {
    reason = "the supervisor has a cgroup beside the container's, whose controllers it delegates";
    here = [ "unit .*: DelegateSubgroup=supervisor" ];
    nixpkgs = [ ];
  }
  {
    reason = "a restart does not mend a wrong configuration";
    here = [ "unit .*: RestartPreventExitStatus=78" ];
    nixpkgs = [ ];
  }
  {
    reason = "systemd-nspawn sets this limit itself when it makes a scope";
    here = [ "unit .*: TasksMax=16384" ];
    nixpkgs = [ ];
  }
  {
    reason = "the template's devices: containers have device filters of their own";
    here = [ "unit container@: DeviceAllow=/dev/net/tun rwm" ];
    nixpkgs = [ ];
  }
  {
    reason = "units of hosts from before 22.05 name the directories, for packages that are wrappers";
    here = [
      "unit container@.*: Environment=\"NIXOS_CONTAINER_CONF_DIR=/etc/containers\""
      "unit container@.*: Environment=\"NIXOS_CONTAINER_STATE_DIR=/var/lib/containers\""
    ];
    nixpkgs = [ ];
  }
  {
    reason = "an ephemeral root is in memory, and the program makes its directory";
    here = [ ];
    nixpkgs = [ "unit container@devices: RuntimeDirectory=nixos-containers/%i" ];
  }
  {
    reason = "stateDir, an option of this project";
    here = [
      "unit container@words: Environment=\"NIXOS_CONTAINER_STATE_DIR=/srv/containers\""
      "unit container@words: Environment=\"root=/srv/containers/%i\""
      "unit container@words: RequiresMountsFor=/srv/containers/%i"
    ];
    nixpkgs = [
      "unit container@words: Environment=\"root=/var/lib/nixos-containers/%i\""
      "unit container@words: RequiresMountsFor=/var/lib/nixos-containers/%i"
    ];
  }
  {
    reason = "extraHostPaths, containerAddress and network stand for options of nixpkgs";
    here = [
      "unit container@words: RequiresMountsFor=/srv/music"
      "conf words: EXTRA_NSPAWN_FLAGS=\" --bind-ro=/srv/music\""
      "conf words: LOCAL_ADDRESS=10.231.137.2"
      "conf words: HOST_BRIDGE=br0"
      "conf words: SYSTEM_PATH=.*"
      "hosts: 10.231.137.2 words.containers"
    ];
    nixpkgs = [
      "conf words: EXTRA_NSPAWN_FLAGS=\"\""
      "conf words: SYSTEM_PATH=.*"
      "unit container@words: RequiresMountsFor=.*"
    ];
  }
  {
    reason = "an untrusted container has no devices of the host";
    here = [ ];
    nixpkgs = [ "unit container@strangers: DeviceAllow=/dev/net/tun rwm" ];
  }
  {
    reason = "nixpkgs keeps these settings in its scripts";
    here = [
      "conf .*: COPY_RESOLV_CONF=\"[01]\""
      "conf .*: TIMEOUT_START_SEC=\".*\""
      "conf network: EXTRA_VETHS=\"lan,hostName=lan,hostBridge=br1 wan,hostName=wan,.*\""
      "conf devices: ADDITIONAL_CAPABILITIES=\"CAP_SYS_TIME,CAP_NET_ADMIN\""
      "conf devices: ALLOWED_DEVICES=\"/dev/dri/card0 rw,/dev/net/tun rwm\""
      "conf bridge: ALLOWED_DEVICES=\"/dev/net/tun rwm\""
      "conf devices: EPHEMERAL=\"1\""
      "conf devices: TMPFS=\"/var /srv:size=10m\""
    ];
    nixpkgs = [ ];
  }
  {
    reason = "options of this project";
    here = [
      "conf words: (BIND_HOST|EXTRA_VETHS|NIX_DAEMON|SPOOF_CHECK)=.*"
      "conf strangers: UNTRUSTED=\"1\""
      "conf limits: (CONSOLE_LOG_MAX|CPU_QUOTA|IO_WEIGHT|JOURNAL_MAX_USE|LIMIT_NOFILE|MEMORY_MAX|TASKS_MAX)=.*"
    ];
    nixpkgs = [ ];
  }
  {
    reason = "networkd, udev and NetworkManager leave the links of containers alone";
    here = [
      "file: systemd/network/70-nixos-container.*"
      "file: udev/rules.d/.*"
    ];
    nixpkgs = [ ];
  }
  {
    reason = "the generator gives units what is in conf files";
    here = [ "generator: nixos-container-generator" ];
    nixpkgs = [ ];
  }
]
