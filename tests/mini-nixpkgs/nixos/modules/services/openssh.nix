# sshd.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.openssh;
  hostKey = "/etc/ssh/ssh_host_ed25519_key";
  scalar = types.oneOf [
    types.bool
    types.int
    types.str
  ];
  show = v: if builtins.isBool v then (if v then "yes" else "no") else toString v;
in
{
  options.services.openssh = {
    enable = lib.mkEnableOption "the OpenSSH daemon";
    ports = mkOption {
      type = types.listOf types.port;
      default = [ 22 ];
      description = "The ports it listens on.";
    };
    openFirewall = mkOption {
      type = types.bool;
      default = true;
      description = "Whether to open the ports in the firewall.";
    };
    settings = mkOption {
      type = types.submodule {
        freeformType = types.attrsOf scalar;
        options = {
          PermitRootLogin = mkOption {
            type = types.enum [
              "yes"
              "without-password"
              "prohibit-password"
              "forced-commands-only"
              "no"
            ];
            default = "prohibit-password";
            description = "Whether root may log in.";
          };
          PasswordAuthentication = mkOption {
            type = types.bool;
            default = true;
            description = "Whether passwords are accepted.";
          };
          UsePAM = mkOption {
            type = types.bool;
            default = true;
            description = "Whether to use PAM.";
          };
        };
      };
      default = { };
      description = "Lines of sshd_config(5).";
    };
    # The option's name before NixOS 22.11, which older manuals use.
    permitRootLogin = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The earlier name of settings.PermitRootLogin.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "Further text of sshd_config(5).";
    };
  };

  config = lib.mkIf cfg.enable {
    services.openssh.settings.PermitRootLogin = lib.mkIf (
      cfg.permitRootLogin != null
    ) cfg.permitRootLogin;

    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall cfg.ports;

    users.users.sshd = {
      uid = 996;
      isSystemUser = true;
      group = "sshd";
      description = "SSH privilege separation user";
    };
    users.groups.sshd.gid = 996;

    environment.etc = {
      "ssh/moduli".source = "${pkgs.tree}/etc/ssh/moduli";
      "ssh/ssh_config".text = "";
      "ssh/sshd_config".text =
        lib.concatMapStrings (p: "Port ${toString p}\n") cfg.ports
        + ''
          HostKey ${hostKey}
          AuthorizedKeysFile %h/.ssh/authorized_keys /etc/ssh/authorized_keys.d/%u
          Subsystem sftp /usr/lib/openssh/sftp-server
          PrintMotd no
        ''
        + lib.concatStrings (lib.mapAttrsToList (n: v: "${n} ${show v}\n") cfg.settings)
        + cfg.extraConfig;
    };

    systemd.services.sshd = {
      description = "SSH Daemon";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      restartTriggers = [ config.environment.etc."ssh/sshd_config".source ];
      stopIfChanged = false;
      preStart = ''
        mkdir -p -m 0755 /run/sshd
        [ -s ${hostKey} ] || {
          rm -f ${hostKey}
          ssh-keygen -q -t ed25519 -N "" -C "" -f ${hostKey}
        }
      '';
      serviceConfig = {
        Type = "notify";
        ExecStart = "/usr/sbin/sshd -D -f /etc/ssh/sshd_config";
        ExecReload = "/usr/bin/kill -HUP $MAINPID";
        KillMode = "process";
        Restart = "always";
      };
    };
  };
}
