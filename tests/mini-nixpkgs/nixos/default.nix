# `<nixpkgs/nixos>`: the system of one configuration.
#
#   nix-env -p PROFILE -I nixos-config=FILE -f '<nixpkgs/nixos>' --set -A system
{
  # As NixOS has it: $NIXOS_CONFIG has the last word.
  configuration ?
    let
      fromEnvironment = builtins.getEnv "NIXOS_CONFIG";
    in
    if fromEnvironment == "" then <nixos-config> else import fromEnvironment,
  system ? builtins.currentSystem,
}:
let
  eval = import ./lib/eval-config.nix {
    inherit system;
    modules = [ configuration ];
  };
in
{
  inherit (eval) config options pkgs;
  system = eval.config.system.build.toplevel;
}
