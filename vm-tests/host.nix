# The host of a scenario, as a container: mini-nixpkgs with the NixOS module and
# a built program.
{ program, scenario }:
{ lib, pkgs, ... }:
{
  imports = [
    ../nixos/module.nix
    scenario
  ];
  boot.isContainer = true;
  # For `nixos-container create` on this host.
  nix.nixPath = [ "nixpkgs=${pkgs.path}" ];
  # For containers to copy.
  networking.nameservers = [ "192.0.2.53" ];
  # Also for hosts without declared containers.
  boot.enableContainers = true;
  virtualisation.nixos-container.package =
    pkgs.runCommand "nixos-container" { } ''
      mkdir -p $out/bin $out/lib/systemd/system-generators
      cp ${builtins.path { path = program; name = "nixos-container-program"; }} $out/bin/nixos-container
      ln -s $out/bin/nixos-container $out/lib/systemd/system-generators/nixos-container-generator
    ''
    // {
      meta.mainProgram = "nixos-container";
    };
}
