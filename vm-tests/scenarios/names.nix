let
  container = number: {
    autoStart = true;
    privateNetwork = true;
    hostAddress = "192.168.${toString number}.1";
    localAddress = "192.168.${toString number}.2";
    config = { };
  };
in
{
  containers = {
    first = container 1;
    second-very-long-name-of-a-container = container 2;
    second-very-long-name-of-another = container 3;
    third-with-numbers-2001 = container 4;
  };
}
