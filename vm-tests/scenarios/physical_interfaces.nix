{
  systemd.services.card = {
    wantedBy = [ "multi-user.target" ];
    before = [ "machines.target" ];
    serviceConfig.Type = "oneshot";
    serviceConfig.RemainAfterExit = true;
    script = ''
      ip link add card type veth peer name cable
      ip addr add 10.10.0.1/24 dev cable
      ip link set cable up
    '';
    path = [ "/run/current-system/sw" ];
  };
  containers.server = {
    privateNetwork = true;
    interfaces = [ "card" ];
    config = { };
  };
}
