# Units: ours in /etc/systemd/system, as one directory in the store. The
# tree's units are found in /usr/lib/systemd/system; none of them starts
# unless it is named in `systemd.upstreamWants` or asked for by a unit.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.systemd;

  unitOption = types.nullOr (
    types.oneOf [
      types.bool
      types.int
      types.float
      types.str
      types.path
      types.package
    ]
  );
  section = mkOption {
    type = types.attrsOf (types.either unitOption (types.listOf unitOption));
    default = { };
    description = "Lines of the unit's section; a list gives one line for each element.";
  };
  names =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };

  commonOptions = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Off: the unit is masked.";
    };
    description = mkOption {
      type = types.singleLineStr;
      default = "";
      description = "What the unit is.";
    };
    wantedBy = names "Units that start this one.";
    requiredBy = names "Units that need this one.";
    wants = names "Units started with this one.";
    requires = names "Units this one needs.";
    bindsTo = names "Units this one stops with.";
    partOf = names "Units this one stops and restarts with.";
    after = names "Units that start before this one.";
    before = names "Units that start after this one.";
    conflicts = names "Units this one cannot run beside.";
    unitConfig = section;
  };

  script =
    description:
    mkOption {
      type = types.lines;
      default = "";
      inherit description;
    };

  flag =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };

  serviceOptions = commonOptions // {
    serviceConfig = section;
    environment = mkOption {
      type = types.attrsOf (types.nullOr (types.oneOf [ types.str types.path types.package ]));
      default = { };
      description = "Its environment variables.";
    };
    path = mkOption {
      type = types.listOf (types.oneOf [ types.package types.str ]);
      default = [ ];
      description = "Packages whose programs its scripts find.";
    };
    script = script "What it runs, as a shell script.";
    preStart = script "Run before it starts.";
    postStart = script "Run once it has started.";
    preStop = script "Run to stop it.";
    postStop = script "Run once it has stopped.";
    restartIfChanged = flag true "Whether a switch to another system may restart it.";
    stopIfChanged = flag true "Whether a switch stops it before the activation and starts it after, rather than restarting it after.";
    reloadIfChanged = flag false "Whether a switch reloads it instead.";
    restartTriggers = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
      description = "Values whose change restarts it.";
    };
  };

  units =
    what: options:
    mkOption {
      type = types.attrsOf (types.submodule { inherit options; });
      default = { };
      description = "The systemd ${what}.";
    };

  showValue = v: if builtins.isBool v then lib.boolToString v else toString v;
  lines =
    name: value:
    lib.concatMapStrings (v: "${name}=${showValue v}\n") (builtins.filter (v: v != null) (lib.toList value));
  sectionText =
    name: values: lib.optionalString (values != { }) "\n[${name}]\n${lib.concatStrings (lib.mapAttrsToList lines values)}";

  unitSection =
    unit: extra:
    let
      list = name: values: lib.optionalAttrs (values != [ ]) { ${name} = toString values; };
    in
    sectionText "Unit" (
      lib.optionalAttrs (unit.description != "") { Description = unit.description; }
      // list "Wants" unit.wants
      // list "Requires" unit.requires
      // list "BindsTo" unit.bindsTo
      // list "PartOf" unit.partOf
      // list "After" unit.after
      // list "Before" unit.before
      // list "Conflicts" unit.conflicts
      // extra
      // unit.unitConfig
    );

  # systemd's own default would find the tree's programs as well; stated, so
  # that a service's programs are those of its configuration.
  basePath = [ pkgs.debian ];
  environmentOf =
    service:
    config.systemd.globalEnvironment
    // {
      PATH = lib.makeBinPath (service.path ++ basePath);
    }
    // service.environment;

  # A script is named by its contents, so that a unit changes with it.
  command =
    name: phase: text:
    lib.optionalAttrs (text != "") {
      ${phase.setting} =
        "${pkgs.tree}/usr/bin/bash -e ${pkgs.writeText "unit-script-${safeName name}-${phase.name}" text}";
    };
  safeName = builtins.replaceStrings [ "@" "\\" ":" ] [ "-" "-" "-" ];
  phases = [
    {
      name = "start";
      setting = "ExecStart";
      option = "script";
    }
    {
      name = "pre-start";
      setting = "ExecStartPre";
      option = "preStart";
    }
    {
      name = "post-start";
      setting = "ExecStartPost";
      option = "postStart";
    }
    {
      name = "pre-stop";
      setting = "ExecStop";
      option = "preStop";
    }
    {
      name = "post-stop";
      setting = "ExecStopPost";
      option = "postStop";
    }
  ];

  serviceText =
    name: service:
    unitSection service (
      lib.optionalAttrs (!service.restartIfChanged) { X-RestartIfChanged = false; }
      // lib.optionalAttrs (!service.stopIfChanged) { X-StopIfChanged = false; }
      // lib.optionalAttrs service.reloadIfChanged { X-ReloadIfChanged = true; }
      // lib.optionalAttrs (service.restartTriggers != [ ]) {
        X-Restart-Triggers = map toString service.restartTriggers;
      }
    )
    + sectionText "Service" (
      lib.foldl' (all: phase: all // command name phase service.${phase.option}) { } phases
      // {
        Environment = lib.mapAttrsToList (n: v: builtins.toJSON "${n}=${v}") (
          lib.filterAttrs (_: v: v != null) (environmentOf service)
        );
      }
      // service.serviceConfig
    );

  plainText = name: settings: unit: unitSection unit { } + sectionText name unit.${settings};

  # suffix, units, text of one
  kinds = [
    {
      suffix = "service";
      units = cfg.services;
      text = serviceText;
    }
    {
      suffix = "socket";
      units = cfg.sockets;
      text = _: plainText "Socket" "socketConfig";
    }
    {
      suffix = "timer";
      units = cfg.timers;
      text = _: plainText "Timer" "timerConfig";
    }
    {
      suffix = "target";
      units = cfg.targets;
      text = _: unit: unitSection unit { };
    }
  ];

  upstream = name: "${pkgs.tree}/usr/lib/systemd/system/${name}";
  hasUpstream = name: pkgs.debianTree.units ? ${name};

  # A unit that the tree has too is changed by a drop-in, not replaced.
  unitFiles =
    kind: name: unit:
    let
      full = "${name}.${kind.suffix}";
      links =
        property: targets:
        lib.listToAttrs (map (t: lib.nameValuePair "${t}.${property}/${full}" { source = "../${full}"; }) targets);
      file = if hasUpstream full then "${full}.d/overrides.conf" else full;
    in
    if !unit.enable then
      { ${full}.source = "/dev/null"; }
    else
      { ${file}.text = kind.text name unit; }
      // links "wants" unit.wantedBy
      // links "requires" unit.requiredBy;

  upstreamLinks = lib.concatMapAttrs (
    target: wanted:
    lib.listToAttrs (
      map (unit: lib.nameValuePair "${target}.wants/${unit}" { source = upstream unit; }) wanted
    )
  ) cfg.upstreamWants;
in
{
  options.systemd = {
    services = units "services" serviceOptions;
    sockets = units "sockets" (commonOptions // { socketConfig = section; });
    timers = units "timers" (commonOptions // { timerConfig = section; });
    targets = units "targets" commonOptions;
    upstreamWants = mkOption {
      type = types.attrsOf (types.listOf types.str);
      default = { };
      description = "Units of the tree that start, by the target that wants them.";
    };
    defaultUnit = mkOption {
      type = types.str;
      default = "multi-user.target";
      description = "What is reached when the system is up.";
    };
    globalEnvironment = mkOption {
      type = types.attrsOf types.str;
      default = { };
      description = "Environment variables of all services.";
    };
    generators = mkOption {
      type = types.attrsOf types.path;
      default = { };
      description = "Programs that make units at boot.";
    };
    tmpfiles.rules = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Lines as in tmpfiles.d(5).";
    };
  };

  config = {
    environment.etc = {
      "systemd/system".source = pkgs.writeTree "system-units" (
        lib.mergeAttrsList (
          lib.concatMap (kind: lib.mapAttrsToList (unitFiles kind) kind.units) kinds
        )
        // upstreamLinks
        // {
          "default.target".source = upstream cfg.defaultUnit;
          # Programs run from it to the end: the attempt to unmount it at
          # shutdown can only fail.
          "nix-store.mount.d/overrides.conf".text = "[Unit]\nDefaultDependencies=no\n";
        }
      );
      "tmpfiles.d/00-nixos.conf".text = lib.concatLines cfg.tmpfiles.rules;
    }
    // lib.mapAttrs' (
      name: source: lib.nameValuePair "systemd/system-generators/${name}" { inherit source; }
    ) cfg.generators;
  };
}
