# The command, its man page, completions and systemd unit.
{
  lib,
  installShellFiles,
  rustPlatform,
}:
rustPlatform.buildRustPackage {
  pname = "nixos-container";
  inherit (lib.importTOML ../Cargo.toml) package;
  version = (lib.importTOML ../Cargo.toml).package.version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../benches
      ../netns
      ../runtime
      ../src
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  nativeBuildInputs = [ installShellFiles ];

  # They make namespaces, links and mounts, which takes root.
  doCheck = false;

  meta = {
    description = "NixOS systems as containers, on a runtime of their own";
    license = lib.licenses.mit;
    mainProgram = "nixos-container";
    platforms = lib.platforms.linux;
  };
}
