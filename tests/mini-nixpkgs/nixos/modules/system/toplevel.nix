# The system: one store path with everything at the place where NixOS has it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.system;

  failed = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);

  # Shell scripts of ../../scripts, their @names@ filled in. @out@ is left: it
  # is the system itself, known only to its build.
  script =
    file:
    builtins.replaceStrings
      [
        "@busybox@"
        "@activationSnippets@"
      ]
      [
        "${pkgs.tree}/usr/bin/busybox"
        cfg.build.activationSnippets
      ]
      (builtins.readFile file);
in
{
  options = {
    assertions = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
      description = "Conditions that must hold: { assertion, message }.";
    };
    warnings = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Warnings that a build of the system prints.";
    };
    system = {
      build = mkOption {
        type = types.lazyAttrsOf types.unspecified;
        default = { };
        description = "Derivations that this configuration builds.";
      };
      name = mkOption {
        type = types.str;
        default = if config.networking.hostName == "" then "unnamed" else config.networking.hostName;
        defaultText = "config.networking.hostName";
        description = "The system's name, a part of its store path's.";
      };
      stateVersion = mkOption {
        type = types.str;
        default = cfg.nixos.release;
        description = "The release whose data formats are kept.";
      };
      nixos = {
        release = mkOption {
          type = types.str;
          default = "25.11";
          readOnly = true;
          description = "The NixOS release whose options these are.";
        };
        version = mkOption {
          type = types.str;
          default = "${cfg.nixos.release}.mini";
          description = "The version that nixos-version says.";
        };
      };
    };
  };

  config.system.build.toplevel =
    if failed != [ ] then
      throw "\nFailed assertions:\n${lib.concatMapStrings (m: "- ${m}\n") failed}"
    else
      lib.foldr lib.warn (pkgs.runCommand "nixos-system-${cfg.name}-${cfg.stateVersion}" {
        init = script ../../scripts/init.sh;
        activate = script ../../scripts/activate.sh;
        switch = script ../../scripts/switch-to-configuration.sh;
        passAsFile = [
          "script"
          "init"
          "activate"
          "switch"
        ];
      } ''
        install_script() {
          sed "s|@out@|$out|g" "$1" >"$2"
          chmod +x "$2"
        }
        mkdir -p $out/bin
        install_script "$initPath" $out/init
        install_script "$activatePath" $out/activate
        install_script "$switchPath" $out/bin/switch-to-configuration
        ln -s ${cfg.build.etc} $out/etc
        ln -s ${cfg.build.etcLinks} $out/etc-links
        ln -s ${cfg.build.systemPath} $out/sw
        ln -s ${pkgs.systemd} $out/systemd
        printf %s ${pkgs.system} >$out/system
        printf %s ${lib.escapeShellArg cfg.nixos.version} >$out/nixos-version
      '') config.warnings;
}
