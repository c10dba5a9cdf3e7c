# The snippets of `activate`, which boots and switches run.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  scripts = config.system.activationScripts;

  # The names, sorted by dependencies.
  inOrder =
    done: names:
    builtins.foldl' (
      done: name:
      if builtins.elem name done then
        done
      else if !scripts ? ${name} then
        throw "system.activationScripts: a snippet depends on `${name}', which is not there"
      else
        inOrder done scripts.${name}.deps ++ [ name ]
    ) done names;

  # A snippet that fails does not keep the others from running; it is named
  # and makes the whole fail at its end. (`( … ) || failed` would switch
  # `set -e` off inside.)
  wrap = name: ''
    #### ${name}
    (
    set -e
    ${scripts.${name}.text}
    )
    [ $? = 0 ] || failed ${lib.escapeShellArg name}
  '';
in
{
  options.system.activationScripts = mkOption {
    type = types.attrsOf (
      types.coercedTo types.str (text: { inherit text; }) (
        types.submodule {
          options = {
            text = mkOption {
              type = types.lines;
              description = "Shell commands, run by busybox.";
            };
            deps = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "The snippets that have to run before.";
            };
          };
        }
      )
    );
    default = { };
    description = "Snippets that run at every boot and switch.";
  };

  config.system.build.activationSnippets = lib.concatMapStrings wrap (
    inOrder [ ] (builtins.attrNames scripts)
  );
}
