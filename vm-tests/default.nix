# The scenarios as NixOS tests, with the scenarios' names.
{ pkgs }:
let
  inherit (pkgs) lib;
  directory = ./scenarios;
  names = map (lib.removeSuffix ".nix") (
    builtins.filter (lib.hasSuffix ".nix") (builtins.attrNames (builtins.readDir directory))
  );
  test =
    name:
    pkgs.testers.runNixOSTest {
      name = "nixos-container-${name}";
      nodes.machine = {
        imports = [
          ../nixos/module.nix
          (directory + "/${name}.nix")
        ];
        boot.enableContainers = true;
        # `nixos-container create` needs nixpkgs without a network.
        nix.nixPath = [ "nixpkgs=${pkgs.path}" ];
        virtualisation.writableStore = true;
        virtualisation.additionalPaths = [ pkgs.stdenv ];
      };
      testScript = builtins.readFile (directory + "/${name}.py");
    };
in
lib.genAttrs names test
