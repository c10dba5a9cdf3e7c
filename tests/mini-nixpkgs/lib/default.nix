# `<nixpkgs/lib>`: the part of nixpkgs' library that container configurations
# use. Names and meanings are those of nixpkgs, so that a configuration which
# evaluates here evaluates there.
let
  trivial = import ./trivial.nix;
  options = import ./options.nix { lib = trivial; };
  types = import ./types.nix { inherit lib; };
  modules = import ./modules.nix { inherit lib; };
  lib = trivial // options // modules // {
    inherit lib types modules options;
    inherit (types) mkOptionType;
  };
in
lib
