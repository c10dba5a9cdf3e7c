# `<nixpkgs>`: the package set.
{
  system ? builtins.currentSystem,
  ...
}:
import ./pkgs {
  inherit system;
  lib = import ./lib;
  debianTree =
    let
      file = ./tree.nix;
      tree = if builtins.pathExists file then import file else null;
    in
    if tree ? units then
      tree
    else
      throw "${toString file} is missing or not by this make-tree; run ${toString ./make-tree} once";
}
// {
  path = ./.;
}
