# Packages. Everything that runs, at build time too, comes out of the one
# Debian tree, so a build needs nothing of the host and works in Nix' sandbox.
#
# A build script runs in the tree's static busybox, whose shell finds its own
# applets (cp, ln, sed, awk, …) without a PATH. The tree's other programs need
# /usr and /lib64, which the container's init makes: they cannot run in a
# build, only be linked to.
{
  system,
  lib,
  debianTree,
}:
let
  tree = debianTree.path;
  busyboxProgram = "${tree}/usr/bin/busybox";

  # A derivation that runs `script` with $out set and `env` in its
  # environment.
  runCommand =
    name: env: script:
    derivation (
      {
        inherit name system script;
        builder = busyboxProgram;
        # As a file: a script may be longer than one argument can be (128 KiB,
        # MAX_ARG_STRLEN in execve(2)).
        args = [
          "sh"
          "-euc"
          ''. "$scriptPath"''
        ];
        passAsFile = [ "script" ];
        preferLocalBuild = true;
        allowSubstitutes = false;
      }
      // env
    )
    // {
      pname = name;
      meta = { };
    };

  dependsOnBuild =
    text: builtins.any (c: c ? outputs) (builtins.attrValues (builtins.getContext text));

  # A plain file in the store. Without a build, where the text allows it.
  writeText =
    name: text:
    if dependsOnBuild text then
      runCommand name { inherit text; } ''printf %s "$text" >"$out"''
    else
      builtins.toFile name text;

  # A directory of `files`: path → { text } or { source }, and `executable`.
  writeTree =
    name: files:
    runCommand name { } (
      "mkdir -p $out\n"
      + lib.concatStrings (
        lib.mapAttrsToList (
          path: file:
          let
            target = "$out/${lib.escapeShellArg path}";
          in
          lib.optionalString (dirOf path != ".") "mkdir -p $out/${lib.escapeShellArg (dirOf path)}\n"
          + (
            if file ? source then
              "ln -s ${lib.escapeShellArg "${file.source}"} ${target}\n"
            else
              "printf %s ${lib.escapeShellArg file.text} >${target}\n"
              + lib.optionalString (file.executable or false) "chmod +x ${target}\n"
          )
        ) files
      )
    );

  # Programs of the tree as a package of their own.
  fromTree =
    pname: programs:
    runCommand pname { } ''
      mkdir -p $out/bin
      ln -s ${lib.concatMapStringsSep " " (p: "${tree}/usr/${p}") programs} $out/bin
    ''
    // {
      inherit pname;
    };

  writeScriptBin =
    name: text:
    writeTree name {
      "bin/${name}" = {
        inherit text;
        executable = true;
      };
    };

  # Links the `pathsToLink` of all `paths` into one directory; the first that
  # has a file wins.
  buildEnv =
    {
      name,
      paths,
      pathsToLink ? [ "/" ],
      postBuild ? "",
    }:
    runCommand name { } ''
      add() {
        for entry in "$1"/*; do
          target=$2/''${entry##*/}
          if [ -d "$entry" ] && [ ! -L "$entry" ]; then
            mkdir -p "$target"
            add "$entry" "$target"
          elif [ -e "$entry" ]; then
            set -- "$1" "$2" "$entry"
            [ -e "$target" ] || ln -s "$3" "$2"
          fi
        done
      }
      mkdir -p $out
      for path in ${lib.concatMapStringsSep " " toString paths}; do
        for part in ${lib.escapeShellArgs pathsToLink}; do
          [ -d "$path$part" ] || continue
          mkdir -p "$out$part"
          add "$path$part" "$out$part"
        done
      done
      ${postBuild}
    '';

  pkgs = {
    inherit
      buildEnv
      lib
      runCommand
      system
      debianTree
      tree
      writeScriptBin
      writeText
      writeTree
      ;
    inherit pkgs;
    stdenv.hostPlatform = { inherit system; };

    symlinkJoin = args: buildEnv args;
    linkFarm = name: entries: writeTree name (
      lib.listToAttrs (map (e: lib.nameValuePair e.name { source = e.path; }) entries)
    );
    writeTextDir = path: text: writeTree (baseNameOf path) { ${path} = { inherit text; }; };
    writeScript = name: text: runCommand name { inherit text; } ''
      printf %s "$text" >"$out"
      chmod +x "$out"
    '';
    writeShellScript = name: text: pkgs.writeScript name "#!${pkgs.runtimeShell}\n${text}\n";
    writeShellScriptBin = name: text: writeScriptBin name "#!${pkgs.runtimeShell}\n${text}\n";
    runtimeShell = "${pkgs.bash}/bin/bash";

    # All programs of the tree.
    debian = runCommand "debian-13" { } ''
      mkdir -p $out/bin $out/share
      ln -sf ${tree}/usr/sbin/* ${tree}/usr/bin/* $out/bin
    '';

    bash = fromTree "bash" [
      "bin/bash"
      "bin/sh"
    ]
    // {
      shellPath = "/bin/bash";
    };
    bashInteractive = pkgs.bash;
    busybox = fromTree "busybox" [ "bin/busybox" ];
    coreutils = fromTree "coreutils" (
      map (p: "bin/${p}") (
        lib.splitString " " "[ b2sum base64 basename cat chgrp chmod chown cp cut date dd df dirname du echo env expr false head id install join link ln ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc od paste printenv printf pwd readlink realpath rm rmdir seq sha256sum sha512sum shuf sleep sort split stat stty sync tac tail tee test timeout touch tr true truncate tty uname uniq wc whoami yes"
      )
    );
    hello = pkgs.writeShellScriptBin "hello" "echo 'Hello, world!'";
    iproute2 = fromTree "iproute2" [
      "bin/ip"
      "bin/ss"
      "sbin/bridge"
    ];
    iputils = fromTree "iputils" [ "bin/ping" ];
    # nixpkgs' tool for containers, which takes the directories of containers.
    nixos-container = lib.makeOverridable (
      {
        configurationDirectory ? "/etc/nixos-containers",
        stateDirectory ? "/var/lib/nixos-containers",
      }:
      writeScriptBin "nixos-container" ''
        #!${pkgs.runtimeShell}
        echo "nixpkgs' tool, for ${configurationDirectory} and ${stateDirectory}, is not here" >&2
        exit 1
      ''
    ) { };
    nix = fromTree "nix" (
      map (p: "bin/nix${p}") (
        lib.splitString " " " -build -channel -collect-garbage -copy-closure -daemon -env -hash -instantiate -prefetch-url -shell -store"
      )
    );
    openssh = fromTree "openssh" [
      "bin/ssh"
      "bin/ssh-keygen"
      "bin/ssh-keyscan"
      "bin/scp"
      "sbin/sshd"
    ];
    procps = fromTree "procps" [
      "bin/ps"
      "bin/pgrep"
      "bin/pkill"
      "bin/free"
      "sbin/sysctl"
    ];
    systemd = runCommand "systemd" { } ''
      mkdir -p $out/lib
      ln -s ${tree}/usr/lib/systemd $out/lib/systemd
      mkdir $out/bin
      ln -s ${tree}/usr/bin/*ctl ${tree}/usr/bin/systemd-* $out/bin
    '';
    util-linux = fromTree "util-linux" [
      "bin/login"
      "bin/mount"
      "bin/nsenter"
      "bin/su"
      "bin/umount"
      "bin/unshare"
      "sbin/agetty"
    ];
  };
in
pkgs
