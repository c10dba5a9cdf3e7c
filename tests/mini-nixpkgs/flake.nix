# mini-nixpkgs as an input of flakes, without a network:
#
#   inputs.nixpkgs.url = "path:/…/tests/mini-nixpkgs";
{
  description = "A NixOS-shaped nixpkgs for tests";

  outputs =
    { self }:
    let
      lib = import ./lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
    in
    {
      lib = lib // {
        nixosSystem = import ./nixos/lib/eval-config.nix;
      };
      legacyPackages = lib.genAttrs systems (system: import ./. { inherit system; });
    };
}
