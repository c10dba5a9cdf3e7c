# `<nixpkgs/nixos>`: the system of one configuration.
#
#   nix-env -p PROFILE -I nixos-config=FILE -f '<nixpkgs/nixos>' --set -A system
{
  # As on NixOS, $NIXOS_CONFIG takes precedence.
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
