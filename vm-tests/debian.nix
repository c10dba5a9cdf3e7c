# The files of a scenario for a host other than NixOS: the conf files, names and
# temporary files that the NixOS module makes, and the scenario's own units.
# Containers' units come from `make install`.
{ program, scenario }:
let
  evaluate = scenario: import <nixpkgs/nixos> { configuration = import ./host.nix { inherit program scenario; }; };
  inherit (evaluate scenario) config pkgs;
  inherit (pkgs) lib;
  # A host without a scenario, to find the scenario's additions.
  bare = (evaluate { }).config;

  confFiles = lib.filterAttrs (path: _: lib.hasPrefix "nixos-containers/" path) config.environment.etc;
  units = lib.filterAttrs (
    name: _: !(bare.systemd.services ? ${name}) && !(lib.hasPrefix "container@" name)
  ) config.systemd.services;

  # As on NixOS: a link into the read-only store.
  linkConf = path: file: "ln -s ${file.source} $out/etc/${path}\n";
  copyUnit =
    name: unit:
    "cp -L ${config.environment.etc."systemd/system".source}/${name}.service .\n"
    + lib.concatMapStrings (target: ''
      mkdir -p ${target}.wants
      ln -s ../${name}.service ${target}.wants
    '') unit.wantedBy;
in
pkgs.runCommand "scenario"
  {
    rules = lib.concatLines (lib.subtractLists bare.systemd.tmpfiles.rules config.systemd.tmpfiles.rules);
    hosts = config.networking.extraHosts;
  }
  ''
    mkdir -p $out/etc/nixos-containers $out/etc/systemd/system $out/etc/tmpfiles.d
    ${lib.concatStrings (lib.mapAttrsToList linkConf confFiles)}
    cd $out/etc/systemd/system
    ${lib.concatStrings (lib.mapAttrsToList copyUnit units)}
    printf %s "$rules" >$out/etc/tmpfiles.d/scenario.conf
    printf %s "$hosts" >$out/hosts
  ''
