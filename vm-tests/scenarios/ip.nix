{
  containers.web4 = {
    autoStart = true;
    privateNetwork = true;
    hostAddress = "192.168.0.1";
    localAddress = "192.168.0.100";
    config = {
      services.httpd.enable = true;
      services.httpd.adminAddr = "foo@example.org";
      networking.firewall.allowedTCPPorts = [ 80 ];
    };
  };
  containers.web6 = {
    autoStart = true;
    privateNetwork = true;
    # As in nixpkgs, the option takes either family.
    hostAddress = "fc00::1";
    localAddress6 = "fc00::2";
    config = {
      services.httpd.enable = true;
      services.httpd.adminAddr = "foo@example.org";
      networking.firewall.allowedTCPPorts = [ 80 ];
    };
  };
}
