{
  containers.web = {
    autoStart = true;
    privateNetwork = true;
    hostAddress = "192.168.0.1";
    localAddress = "192.168.0.100";
    forwardPorts = [
      {
        protocol = "tcp";
        hostPort = 8080;
        containerPort = 80;
      }
    ];
    config = {
      services.httpd.enable = true;
      services.httpd.adminAddr = "foo@example.org";
      networking.firewall.allowedTCPPorts = [ 80 ];
    };
  };
}
