{
  containers.hog = {
    autoStart = true;
    privateUsers = "pick";
    tasksMax = 300;
    memoryMax = "200M";
    cpuQuota = "100%";
    ioWeight = 10;
    config = { };
  };
  containers.neighbour = {
    autoStart = true;
    privateUsers = "pick";
    config = { };
  };
}
