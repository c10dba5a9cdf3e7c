{ config, ... }:
let
  container = number: {
    autoStart = true;
    privateNetwork = true;
    hostAddress = "10.10.${toString number}.1";
    localAddress = "10.10.${toString number}.254";
    hostAddress6 = "fd00:10:${toString number}::1";
    localAddress6 = "fd00:10:${toString number}::fe";
    config.networking = { inherit (config.virtualisation.nixos-container) hosts; };
  };
in
{
  containers.simple = container 1;
  containers.other = container 2;
}
