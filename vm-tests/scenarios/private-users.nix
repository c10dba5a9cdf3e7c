{
  containers.picked = {
    autoStart = true;
    privateUsers = "pick";
    config = { };
  };
  containers.numbered = {
    autoStart = true;
    privateUsers = 1048576;
    config = { };
  };
  containers.shared = {
    autoStart = true;
    config = { };
  };
}
