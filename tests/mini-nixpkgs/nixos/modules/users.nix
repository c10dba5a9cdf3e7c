# Users and groups. passwd, group and shadow are real files, made by
# ../scripts/users.awk at every activation from the declarations and from what
# the files held before.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.users;
  nologin = "/run/current-system/sw/bin/nologin";

  ids = types.nullOr types.int;
  hash =
    description:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      inherit description;
    };

  userOptions =
    { name, config, ... }:
    {
      options = {
        name = mkOption {
          type = types.str;
          default = name;
          description = "The login name.";
        };
        description = mkOption {
          type = types.str;
          default = "";
          description = "The full name.";
        };
        isNormalUser = mkOption {
          type = types.bool;
          default = false;
          description = "Whether this is a person: a home directory, a shell, an id from 1000.";
        };
        isSystemUser = mkOption {
          type = types.bool;
          default = false;
          description = "Whether this is a service's user.";
        };
        uid = mkOption {
          type = ids;
          default = null;
          description = "The user id; null: the next free one, kept from then on.";
        };
        group = mkOption {
          type = types.str;
          default = "";
          description = "The primary group.";
        };
        extraGroups = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "Further groups.";
        };
        home = mkOption {
          type = types.path;
          default = "/var/empty";
          description = "The home directory.";
        };
        homeMode = mkOption {
          type = types.strMatching "[0-7]{1,5}";
          default = "700";
          description = "Its mode.";
        };
        createHome = mkOption {
          type = types.bool;
          default = false;
          description = "Whether it is made.";
        };
        shell = mkOption {
          type = types.nullOr (types.either types.shellPackage types.path);
          default = nologin;
          apply = shell: if shell ? shellPath then "${shell}${shell.shellPath}" else toString shell;
          description = "The login shell.";
        };
        useDefaultShell = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the shell is users.defaultUserShell.";
        };
        password = hash "The password, in plain text; set when the user is made.";
        hashedPassword = hash "Likewise, its hash.";
        initialPassword = hash "Likewise, in plain text.";
        initialHashedPassword = hash "Likewise, its hash.";
        openssh.authorizedKeys = {
          keys = mkOption {
            type = types.listOf types.singleLineStr;
            default = [ ];
            description = "Public keys that may log in.";
          };
          keyFiles = mkOption {
            type = types.listOf types.path;
            default = [ ];
            description = "Files with such keys.";
          };
        };
      };
      config = lib.mkMerge [
        (lib.mkIf config.isNormalUser {
          group = lib.mkDefault "users";
          home = lib.mkDefault "/home/${config.name}";
          createHome = lib.mkDefault true;
          useDefaultShell = lib.mkDefault true;
        })
        (lib.mkIf config.useDefaultShell { shell = lib.mkDefault cfg.defaultUserShell; })
      ];
    };

  users = builtins.attrValues cfg.users;
  groups = builtins.attrValues cfg.groups;

  firstOf = values: lib.findFirst (v: v != null) null values;
  idText = id: if id == null then "-" else toString id;

  # One record a line, fields separated by tabs; see users.awk.
  declarations = lib.concatMapStrings (fields: "${builtins.concatStringsSep "\t" fields}\n") (
    [
      [
        "mutable"
        (lib.boolToString cfg.mutableUsers)
      ]
    ]
    ++ map (g: [
      "group"
      g.name
      (idText g.gid)
      (builtins.concatStringsSep "," (
        lib.unique (
          g.members ++ map (u: u.name) (builtins.filter (u: builtins.elem g.name u.extraGroups) users)
        )
      ))
    ]) groups
    ++ map (u: [
      "user"
      u.name
      (idText u.uid)
      u.group
      u.description
      u.home
      u.shell
      (if u.isNormalUser then "normal" else "system")
      (
        let
          hashed = firstOf [
            u.hashedPassword
            u.initialHashedPassword
          ];
          plain = firstOf [
            u.password
            u.initialPassword
          ];
        in
        if plain != null && u.hashedPassword == null then
          "plain:${plain}"
        else if hashed != null then
          "hash:${hashed}"
        else
          "none"
      )
      (if u.createHome then u.homeMode else "-")
    ]) users
  );
in
{
  options.users = {
    users = mkOption {
      type = types.attrsOf (types.submodule userOptions);
      default = { };
      description = "The users.";
    };
    groups = mkOption {
      type = types.attrsOf (
        types.submodule (
          { name, ... }:
          {
            options = {
              name = mkOption {
                type = types.str;
                default = name;
                description = "The group's name.";
              };
              gid = mkOption {
                type = ids;
                default = null;
                description = "The group id; null: the next free one, kept from then on.";
              };
              members = mkOption {
                type = types.listOf types.str;
                default = [ ];
                description = "Users in it, beside those that say so themselves.";
              };
            };
          }
        )
      );
      default = { };
      description = "The groups.";
    };
    mutableUsers = mkOption {
      type = types.bool;
      default = true;
      description = "Whether users and passwords made inside the container stay.";
    };
    defaultUserShell = mkOption {
      type = types.either types.path types.shellPackage;
      default = "/run/current-system/sw/bin/bash";
      description = "The shell of people.";
    };
    motd = mkOption {
      type = types.lines;
      default = "";
      description = "What a login says.";
    };
  };

  config = {
    assertions = lib.concatMap (u: [
      {
        assertion = u.isNormalUser != u.isSystemUser || u.name == "root";
        message = "Exactly one of users.users.${u.name}.isSystemUser and users.users.${u.name}.isNormalUser must be set.";
      }
      {
        assertion = cfg.groups ? ${u.group};
        message =
          if u.group == "" then
            "users.users.${u.name}.group is unset."
          else
            "users.users.${u.name}.group is `${u.group}', and there is no users.groups.${u.group}.";
      }
    ]) users;

    # Ids as Debian's: its systemd and its udev-less /dev were built for them.
    users.users = {
      root = {
        uid = 0;
        group = "root";
        description = "System administrator";
        home = "/root";
        useDefaultShell = lib.mkDefault true;
      };
      nobody = {
        uid = 65534;
        isSystemUser = true;
        group = "nogroup";
        description = "Unprivileged account (don't use!)";
      };
      messagebus = {
        uid = 997;
        isSystemUser = true;
        group = "messagebus";
        description = "D-Bus system daemon user";
      };
      systemd-network = {
        uid = 998;
        isSystemUser = true;
        group = "systemd-network";
      };
    };
    users.groups = builtins.mapAttrs (_: gid: { inherit gid; }) {
      root = 0;
      wheel = 1;
      adm = 4;
      tty = 5;
      disk = 6;
      lp = 7;
      kmem = 15;
      dialout = 20;
      cdrom = 24;
      tape = 26;
      audio = 29;
      shadow = 42;
      utmp = 43;
      video = 44;
      users = 100;
      systemd-journal = 999;
      systemd-network = 998;
      messagebus = 997;
      nogroup = 65534;
    };

    environment.etc = {
      motd.text = cfg.motd;
    }
    // lib.mapAttrs' (
      _: u:
      lib.nameValuePair "ssh/authorized_keys.d/${u.name}" {
        # sshd accepts only files that root alone can write; files of the store
        # may belong to another user.
        mode = "0444";
        text = lib.concatLines (
          u.openssh.authorizedKeys.keys ++ map builtins.readFile u.openssh.authorizedKeys.keyFiles
        );
      }
    ) (lib.filterAttrs (
      _: u: u.openssh.authorizedKeys.keys != [ ] || u.openssh.authorizedKeys.keyFiles != [ ]
    ) cfg.users);

    # In a directory of their own first, and then renamed: no reader ever finds
    # half a passwd. Few processes, for each boot waits for them.
    system.activationScripts.users.deps = [ "usr" ];
    system.activationScripts.users.text = ''
      new=/etc/.users.new
      [ -d $new ] || mkdir -m 0700 $new
      for file in group passwd shadow .declared-users; do : >>/etc/$file; done
      umask 077
      : >$new/shadow
      umask 022
      awk -f ${pkgs.writeText "users.awk" (builtins.readFile ../scripts/users.awk)} \
        -v busybox=${pkgs.tree}/usr/bin/busybox -v new=$new \
        FS='\t' ${pkgs.writeText "users" declarations} \
        FS=: /etc/.declared-users /etc/group /etc/passwd /etc/shadow
      mv -f $new/group $new/passwd $new/shadow $new/.declared-users /etc/

      while IFS="$(printf '\t')" read -r home mode uid gid; do
        [ ! -d "$home" ] || continue
        mkdir -p "$home"
        chmod "$mode" "$home"
        chown "$uid:$gid" "$home"
      done <$new/homes
    '';
  };
}
