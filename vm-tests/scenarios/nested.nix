{ config, ... }:
let
  inherit (config.virtualisation.nixos-container) package;
in
{
  containers.outer = {
    autoStart = true;
    config = {
      imports = [ ../../nixos/module.nix ];
      virtualisation.nixos-container = { inherit package; };
      containers.inner = {
        autoStart = true;
        config = { };
      };
    };
  };
}
