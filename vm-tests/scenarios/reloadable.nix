{
  containers.test = {
    autoStart = true;
    config.environment.etc."version".text = "1";
  };
}
