# Compares hosts of one nixpkgs with and without this project's module, and evaluates
# the package, the flake's outputs and all checks on it. `run` prints the result.
{
  nixpkgs,
  system ? builtins.currentSystem,
}:
let
  # Nothing of the caller's own configuration.
  importFor =
    system:
    import nixpkgs {
      inherit system;
      config = { };
      overlays = [ ];
    };
  pkgs = importFor system;
  inherit (pkgs) lib;
  plain = builtins.unsafeDiscardStringContext;

  flake = (import ../../flake.nix).outputs {
    self = flake;
    nixpkgs = {
      inherit lib;
      legacyPackages = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ] importFor;
    };
  };

  # ---- hosts --------------------------------------------------------------

  evaluate =
    modules:
    import (nixpkgs + "/nixos/lib/eval-config.nix") {
      inherit system;
      modules = [ { boot.isContainer = true; } ] ++ modules;
    };
  isOption = name: name != "_module" && name != "pkgs";
  namesOf = option: builtins.filter isOption (lib.attrNames (option.type.getSubOptions [ ]));

  # The same hosts under some modules.
  hostsUnder =
    modules:
    let
      containers = (evaluate (modules ++ [ { system.stateVersion = "24.11"; } ])).options.containers;
      options = namesOf containers;
      vethOptions = namesOf (containers.type.getSubOptions [ ]).extraVeths;
      hosts = import ./hosts.nix { inherit lib options vethOptions; };
    in
    {
      inherit (hosts) hooks;
      # Options that no container of the hosts uses.
      unused = 
        lib.subtractLists hosts.used.options options
        ++ lib.subtractLists hosts.used.vethOptions vethOptions;
      configs = lib.mapAttrs (_: host: (evaluate (modules ++ [ host ])).config) (
        hosts.modules { inherit nixpkgs; }
      );
    };
  vanilla = hostsUnder [ ];
  here = hostsUnder [ flake.nixosModules.default ];
  withOverlay = hostsUnder [
    flake.nixosModules.default
    { nixpkgs.overlays = [ flake.overlays.default ]; }
  ];

  # ---- what is compared ---------------------------------------------------

  withoutHashes =
    text:
    lib.concatStrings (
      map (part: if builtins.isList part then "/nix/store/…-" else part) (
        builtins.split "/nix/store/[0-9a-z]{32}-" text
      )
    );
  # The order of names in these lines follows that of the modules.
  sorted =
    line:
    let
      parts = builtins.match "(After|Before|Requires|Wants)=(.*)" line;
      names = lib.splitString " " (lib.last parts);
    in
    if parts == null then line else "${lib.head parts}=${toString (lib.naturalSort names)}";
  linesOf =
    text: builtins.filter (line: builtins.isString line && line != "") (builtins.split "\n" (plain text));

  facts =
    hooks: config:
    let
      names = builtins.filter (lib.hasPrefix "container@") (lib.attrNames config.systemd.services);
      unit =
        name: map (line: "unit ${name}: ${sorted (withoutHashes line)}") (linesOf config.systemd.units."${name}.service".text);
      # Of nixpkgs' own text nothing is left here.
      hook =
        name: phase:
        let
          added = if name == "container@hooks" then hooks.${phase} else [ ];
          all = linesOf config.systemd.services.${name}.${phase};
          inOrder = builtins.filter (line: builtins.elem line added) all;
        in
        [ "hook ${name} ${phase}: ${lib.concatStringsSep "; " inOrder}" ];
      isConf = path: _: builtins.match "(nixos-)?containers/.*[.]conf" path != null;
      confFiles = lib.filterAttrs isConf config.environment.etc;
      conf =
        path: file:
        let
          name = lib.removeSuffix ".conf" (baseNameOf path);
        in
        map (line: "conf ${name}: ${line}") (linesOf file.text);
    in
    lib.concatMap unit names
    ++ lib.concatMap (name: lib.concatMap (hook name) (lib.attrNames hooks)) names
    ++ lib.concatLists (lib.mapAttrsToList conf confFiles)
    ++ map (path: "file: ${path}") (lib.attrNames config.environment.etc)
    ++ map (line: "hosts: ${line}") (linesOf config.networking.extraHosts)
    ++ map (name: "generator: ${name}") (lib.attrNames config.systemd.generators)
    ++ map (name: "variable: ${name}") (lib.attrNames config.environment.sessionVariables);

  # Lines of a unit's hooks that are neither empty nor a configuration's.
  leftOver =
    config:
    lib.concatMap (
      name:
      lib.concatMap (
        phase:
        let
          added = if name == "container@hooks" then here.hooks.${phase} else [ ];
          text = config.systemd.services.${name}.${phase};
        in
        map (line: "${name} ${phase}: ${line}") (lib.subtractLists added (linesOf text))
      ) (lib.attrNames here.hooks)
    ) (builtins.filter (lib.hasPrefix "container@") (lib.attrNames config.systemd.services));

  differences = import ./differences.nix;
  # The lines that differ without a reason, and the number of those with each reason.
  judge =
    side: lines:
    let
      isChosen = difference: line: lib.any (regex: builtins.match regex line != null) difference.${side};
    in
    {
      unexpected = builtins.filter (line: !lib.any (difference: isChosen difference line) differences) lines;
      chosen = map (difference: lib.count (isChosen difference) lines) differences;
    };
  compare =
    name:
    let
      before = facts vanilla.hooks vanilla.configs.${name};
      after = facts here.hooks here.configs.${name};
    in
    {
      here = judge "here" (lib.subtractLists before after);
      nixpkgs = judge "nixpkgs" (lib.subtractLists after before);
      leftOver = leftOver here.configs.${name};
      same = lib.length (lib.intersectLists before after);
    };
  # As the example's own command calls it.
  example = import ../../examples/nixos-test { inherit pkgs; };
in
{
  inherit (lib) version;
  inherit (here) unused;
  reasons = map (difference: difference.reason) differences;
  hosts = lib.mapAttrs (name: _: compare name) vanilla.configs;
  # Everything else is evaluated to the end, with all assertions.
  systems = lib.mapAttrs (_: config: plain config.system.build.toplevel.drvPath) withOverlay.configs;
  packages = {
    default = plain flake.packages.${system}.default.drvPath;
    inOtherDirectories =
      plain
        (flake.packages.${system}.default.override {
          configurationDirectory = "/etc/containers";
          stateDirectory = "/var/lib/containers";
        }).drvPath;
    overlay = plain (pkgs.extend flake.overlays.default).nixos-container.drvPath;
    shell = plain flake.devShells.${system}.default.drvPath;
  };
  names = lib.attrNames flake.checks.${system};
  checks = lib.mapAttrs (_: check: plain check.drvPath) flake.checks.${system} // {
    example = plain example.drvPath;
  };
  scripts = lib.mapAttrs (_: check: plain check.config.testScriptString) (
    flake.checks.${system} // { inherit example; }
  );
}
