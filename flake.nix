{
  description = "NixOS systems as containers, on a runtime of their own";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "aarch64-linux"
        "x86_64-linux"
      ];
      forEach = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEach (pkgs: {
        default = pkgs.callPackage ./nixos/package.nix { };
      });

      overlays.default = final: _: {
        nixos-container = final.callPackage ./nixos/package.nix { };
      };

      nixosModules.default = ./nixos/module.nix;

      # The scenarios of vm-tests/ as NixOS tests.
      checks = forEach (pkgs: import ./vm-tests { inherit pkgs; });

      devShells = forEach (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.default ];
          packages = with pkgs; [
            bubblewrap
            clippy
            crun
            hyperfine
            nftables
            runc
            rustfmt
          ];
        };
      });
    };
}
