# A container's system, and a NixOS host that declares a container.
#
#   nixos-container create web --flake .#web    # on any host with Nix
#   nixos-container update web                  # builds the flake once more
#   nixos-rebuild switch --flake .#host         # on the NixOS host
{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";
    # Where this repository is.
    nixos-container.url = "path:../..";
    nixos-container.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nixpkgs, nixos-container, ... }:
    let
      web = {
        services.httpd.enable = true;
        services.httpd.adminAddr = "admin@example.org";
        networking.firewall.allowedTCPPorts = [ 80 ];
      };
    in
    {
      nixosConfigurations.web = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          web
          # nixpkgs 25.11 and later have boot.isNspawnContainer, which includes this.
          { boot.isNspawnContainer = true; }
        ];
      };

      nixosConfigurations.host = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          nixos-container.nixosModules.default
          {
            containers.web = {
              autoStart = true;
              privateNetwork = true;
              hostAddress = "10.231.136.1";
              localAddress = "10.231.136.2";
              config = web;
            };
            # This host is a container itself. On a machine, put its
            # hardware-configuration.nix here instead.
            boot.isNspawnContainer = true;
          }
        ];
      };
    };
}
