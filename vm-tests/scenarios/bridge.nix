{
  networking.bridges.br0.interfaces = [ ];
  networking.interfaces.br0.ipv4.addresses = [
    {
      address = "192.168.0.1";
      prefixLength = 24;
    }
  ];
  networking.interfaces.br0.ipv6.addresses = [
    {
      address = "fc00::1";
      prefixLength = 7;
    }
  ];
  containers.one = {
    autoStart = true;
    privateNetwork = true;
    hostBridge = "br0";
    localAddress = "192.168.0.100/24";
    localAddress6 = "fc00::2/7";
    config = { };
  };
  containers.two = {
    autoStart = true;
    privateNetwork = true;
    network = "br0";
    localAddress = "192.168.0.101/24";
    config = { };
  };
}
