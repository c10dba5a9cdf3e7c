{
  containers.test = {
    autoStart = true;
    config = { };
  };
}
