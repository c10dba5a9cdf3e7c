# `<nixpkgs>`: the package set.
{
  system ? builtins.currentSystem,
  ...
}:
import ./pkgs {
  inherit system;
  lib = import ./lib;
  tree =
    if builtins.pathExists ./tree.nix then
      import ./tree.nix
    else
      throw "${toString ./tree.nix} is not there; run ${toString ./make-tree} once";
}
