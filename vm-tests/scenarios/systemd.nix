{ pkgs, ... }:
{
  containers.good = {
    autoStart = true;
    privateNetwork = true;
    hostAddress = "192.168.0.1";
    localAddress = "192.168.0.100";
    config = { };
  };
  # A system with an init that ends at once.
  containers.broken.path = pkgs.runCommand "broken" { } ''
    mkdir $out
    printf '#!%s sh\necho no such luck\nexit 3\n' ${pkgs.busybox}/bin/busybox >$out/init
    chmod +x $out/init
  '';
}
