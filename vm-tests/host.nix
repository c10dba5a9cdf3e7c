# The host of a scenario, as a container: mini-nixpkgs with the NixOS module and
# a built program.
{ program, scenario }:
{ lib, pkgs, ... }:
{
  imports = [
    ../nixos/module.nix
    scenario
  ];
  boot.isNspawnContainer = true;
  # For `nixos-container create` on this host.
  nix.nixPath = [ "nixpkgs=${pkgs.path}" ];
  # For containers to copy.
  networking.nameservers = [ "192.0.2.53" ];
  # Also for hosts without declared containers.
  boot.enableContainers = true;
  virtualisation.nixos-container.package = lib.makeOverridable (
    {
      configurationDirectory ? null,
      stateDirectory ? null,
    }:
    let
      built = builtins.path {
        path = program;
        name = "nixos-container-program";
      };
      # nixos/package.nix has directories built in.
      wrapper = pkgs.writeShellScript "nixos-container-wrapper" ''
        export NIXOS_CONTAINER_CONF_DIR="''${NIXOS_CONTAINER_CONF_DIR-${configurationDirectory}}"
        export NIXOS_CONTAINER_STATE_DIR="''${NIXOS_CONTAINER_STATE_DIR-${stateDirectory}}"
        exec -a "$0" ${built} "$@"
      '';
    in
    pkgs.runCommand "nixos-container" { } ''
      mkdir -p $out/bin $out/lib/systemd/system-generators
      cp ${if configurationDirectory == null then built else wrapper} $out/bin/nixos-container
      ln -s $out/bin/nixos-container $out/lib/systemd/system-generators/nixos-container-generator
    ''
    // {
      meta.mainProgram = "nixos-container";
    }
  ) { };
}
