{ pkgs, ... }:
{
  containers.own = {
    autoStart = true;
    nixpkgs = pkgs.path;
    specialArgs.greeting = "hello";
    config =
      { greeting, ... }:
      {
        environment.etc."greeting".text = greeting;
      };
  };
}
