# The flake's outputs without nixpkgs: stubs of the functions that it calls return
# their arguments.
let
  lib = import ../mini-nixpkgs/lib // {
    fileset = {
      toSource = { root, fileset }: map (lib.path.removePrefix root) fileset;
      unions = lib.id;
    };
    importTOML = path: builtins.fromTOML (builtins.readFile path);
    path.removePrefix = root: path: lib.removePrefix "${toString root}/" (toString path);
  };
  pkgs = {
    inherit lib;
    path = "/nixpkgs";
    callPackage = path: _: lib.fix (lib.const (import path arguments));
    mkShell = lib.id;
    rustPlatform.buildRustPackage = package: package // { outPath = "/package"; };
    stdenv.hostPlatform.system = "x86_64-linux";
    testers.runNixOSTest = lib.id;
  }
  // lib.genAttrs tools lib.id;
  tools = [
    "bubblewrap"
    "clippy"
    "crun"
    "hyperfine"
    "installShellFiles"
    "nftables"
    "runc"
    "rustfmt"
  ];
  arguments = builtins.intersectAttrs (builtins.functionArgs (import ../../nixos/package.nix)) pkgs;
  self = (import ../../flake.nix).outputs {
    inherit self;
    nixpkgs = {
      inherit lib;
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (_: pkgs);
    };
  };
  system = "x86_64-linux";
in
{
  package = {
    inherit (self.packages.${system}.default) pname version src;
  };
  # As nixpkgs' module overrides it.
  moved =
    (lib.fix (lib.const (import ../../nixos/package.nix (arguments // {
      configurationDirectory = "/etc/containers";
      stateDirectory = "/var/lib/containers";
    })))).env;
  overlay = (self.overlays.default pkgs pkgs).nixos-container.pname;
  module = builtins.pathExists self.nixosModules.default;
  checks = lib.mapAttrs (_: check: {
    inherit (check) name testScript;
    imports = builtins.all builtins.pathExists check.nodes.machine.imports;
  }) self.checks.${system};
  shell = self.devShells.${system}.default.packages;
}
