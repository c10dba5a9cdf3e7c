{
  containers.simple = {
    autoStart = true;
    privateNetwork = true;
    hostAddress = "10.10.0.1";
    localAddress = "10.10.0.254";
    config = { };
  };
}
