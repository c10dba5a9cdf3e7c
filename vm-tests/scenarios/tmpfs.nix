{
  containers.scratch = {
    autoStart = true;
    tmpfs = [
      "/var"
      "/some/random/path:size=1m"
    ];
    config = { };
  };
}
