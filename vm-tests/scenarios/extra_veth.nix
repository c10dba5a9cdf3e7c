{
  networking.bridges.br1.interfaces = [ ];
  networking.interfaces.br1.ipv4.addresses = [
    {
      address = "192.168.111.1";
      prefixLength = 24;
    }
  ];
  containers.web = {
    autoStart = true;
    privateNetwork = true;
    hostAddress = "192.168.0.1";
    localAddress = "192.168.0.100";
    extraVeths = {
      veth1 = {
        hostBridge = "br1";
        localAddress = "192.168.111.100/24";
      };
      veth2 = {
        hostName = "to-web";
        hostAddress = "192.168.2.1";
        localAddress = "192.168.2.100";
      };
    };
    config = { };
  };
}
