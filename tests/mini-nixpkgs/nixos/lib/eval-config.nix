# Evaluates modules together with those of NixOS (here: of mini-nixpkgs).
{
  system ? builtins.currentSystem,
  modules,
  baseModules ? import ../modules/module-list.nix,
  specialArgs ? { },
  pkgs ? import ../.. { inherit system; },
  lib ? pkgs.lib,
  prefix ? [ ],
}:
let
  eval = lib.evalModules {
    inherit prefix;
    modules = baseModules ++ modules;
    specialArgs = {
      inherit pkgs;
      modulesPath = toString ../modules;
    }
    // specialArgs;
  };
in
eval // { inherit lib pkgs; }
