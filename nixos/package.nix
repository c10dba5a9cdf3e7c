# The command, its man page, completions and systemd unit.
{
  lib,
  installShellFiles,
  rustPlatform,
  # Where containers are, as nixpkgs' package takes them. Its module sets others
  # on hosts whose state is from before 22.05.
  configurationDirectory ? "/etc/nixos-containers",
  stateDirectory ? "/var/lib/nixos-containers",
}:
rustPlatform.buildRustPackage {
  pname = "nixos-container";
  version = (lib.importTOML ../Cargo.toml).workspace.package.version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../benches
      ../docs/man
      ../netns
      # Unit tests compare its exit codes.
      ../nixos/module.nix
      ../runtime
      ../src
      ../systemd
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  env = {
    DEFAULT_CONF_DIR = configurationDirectory;
    DEFAULT_STATE_DIR = stateDirectory;
  };

  nativeBuildInputs = [ installShellFiles ];

  postInstall = ''
    $out/bin/nixos-container man $out/share/man
    for shell in bash zsh fish; do
      NIXOS_CONTAINER_COMPLETE=$shell $out/bin/nixos-container >nixos-container.$shell
    done
    installShellCompletion nixos-container.{bash,zsh,fish}
    mkdir -p $out/lib/systemd/system{,-generators}
    # For hosts other than NixOS.
    substitute systemd/container@.service $out/lib/systemd/system/container@.service \
      --replace-fail @bindir@ $out/bin
    ln -s $out/bin/nixos-container $out/lib/systemd/system-generators/nixos-container-generator
    install -D --mode=644 --target-directory=$out/lib/systemd/network systemd/network/*
    install -D --mode=644 --target-directory=$out/lib/udev/rules.d systemd/udev/*
  '';

  # Tests make namespaces, links and mounts, which needs root.
  doCheck = false;

  meta = {
    description = "NixOS systems as containers, on a runtime of their own";
    license = lib.licenses.mit;
    mainProgram = "nixos-container";
    platforms = lib.platforms.linux;
  };
}
