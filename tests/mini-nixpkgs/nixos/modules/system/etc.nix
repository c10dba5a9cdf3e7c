# /etc, as symbolic links into the store by way of /etc/static.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  entries = builtins.filter (e: e.enable) (builtins.attrValues config.environment.etc);
  links = builtins.filter (e: e.mode == "symlink") entries;
  directories = lib.unique (
    builtins.filter (d: d != ".") (map (e: dirOf e.target) entries)
  );
  copies = builtins.filter (e: e.mode != "symlink") entries;
in
{
  options.environment.etc = mkOption {
    default = { };
    description = "Files in /etc.";
    type = types.attrsOf (
      types.submodule (
        { name, config, ... }:
        {
          options = {
            enable = mkOption {
              type = types.bool;
              default = true;
              description = "Whether the file is there.";
            };
            target = mkOption {
              type = types.str;
              default = name;
              description = "Its path below /etc.";
            };
            text = mkOption {
              type = types.nullOr types.lines;
              default = null;
              description = "Its contents.";
            };
            source = mkOption {
              type = types.path;
              description = "The file or directory to link to.";
            };
            mode = mkOption {
              type = types.str;
              default = "symlink";
              description = "`symlink', or the octal mode of a copy.";
            };
            user = mkOption {
              type = types.str;
              default = "0";
              description = "Owner of a copy.";
            };
            group = mkOption {
              type = types.str;
              default = "0";
              description = "Group of a copy.";
            };
          };
          config.source = lib.mkIf (config.text != null) (
            lib.mkDefault (pkgs.writeText "etc-${lib.replaceStrings [ "/" "@" ] [ "-" "-" ] name}" config.text)
          );
        }
      )
    );
  };

  config = {
    # What /etc/static is: every entry at its path.
    system.build.etc = pkgs.writeTree "etc" (
      lib.listToAttrs (map (e: lib.nameValuePair e.target { inherit (e) source; }) entries)
    );

    # What is laid over /etc: `links/` is copied as it is, and `list` names
    # everything, to find at the next activation what is gone.
    system.build.etcLinks = pkgs.writeTree "etc-links" (
      lib.listToAttrs (
        map (e: lib.nameValuePair "links/${e.target}" { source = "/etc/static/${e.target}"; }) links
      )
      // {
        list.text = lib.concatMapStrings (e: "${e.target}\n") entries;
      }
    );

    # Few processes, for each boot waits for them.
    system.activationScripts.etc = {
      deps = [ "users" ];
      text = ''
        new=${config.system.build.etcLinks}

        if ! [ /etc/static -ef ${config.system.build.etc} ]; then
          ln -sfn ${config.system.build.etc} /etc/.static.new
          mv -fT /etc/.static.new /etc/static
        fi

        # What an earlier system had and this one has not.
        : >>/etc/.etc-list
        first=
        [ -s /etc/.etc-list ] || first=1
        if ! cmp -s /etc/.etc-list $new/list; then
          while read -r entry; do
            ! grep -qxF "$entry" $new/list || continue
            rm -f "/etc/$entry"
            case $entry in
            */*) (cd /etc && rmdir -p "''${entry%/*}" 2>/dev/null) || true ;;
            esac
          done </etc/.etc-list
          cat $new/list >/etc/.etc-list.new
          mv -f /etc/.etc-list.new /etc/.etc-list
        fi

        # A directory in the place of a link cannot be copied over.
        while read -r entry; do
          if [ -d "/etc/$entry" ] && [ ! -L "/etc/$entry" ] && [ -L "$new/links/$entry" ]; then
            rm -rf "/etc/$entry"
          fi
        done <$new/list

        # Directories beforehand: those of the store are read-only, and so would
        # be their copies.
        (cd /etc && mkdir -p ${lib.escapeShellArgs directories})
        if [ "$first" ]; then
          cp -dRf $new/links/. /etc/
        else
          # A login at this moment finds every entry, the old or the new one.
          while read -r entry; do
            [ -L "$new/links/$entry" ] || continue
            if [ -L "/etc/$entry" ] && [ "/etc/$entry" -ef "$new/links/$entry" ]; then
              continue
            fi
            ln -sfn "/etc/static/$entry" "/etc/$entry.new"
            mv -fT "/etc/$entry.new" "/etc/$entry"
          done <$new/list
        fi

        copy() { # MODE OWNER ENTRY
          cat "/etc/static/$3" >"/etc/$3.new"
          [ "$2" = 0:0 ] || chown "$2" "/etc/$3.new"
          chmod "$1" "/etc/$3.new"
          mv -f "/etc/$3.new" "/etc/$3"
        }
      ''
      + lib.concatMapStrings (
        e: "copy ${lib.escapeShellArgs [ e.mode "${e.user}:${e.group}" e.target ]}\n"
      ) copies;
    };
  };
}
