{
  # The end of a veth pair stands for a network card, so that the test needs no
  # second machine.
  systemd.services.card = {
    wantedBy = [ "multi-user.target" ];
    before = [ "machines.target" ];
    serviceConfig.Type = "oneshot";
    serviceConfig.RemainAfterExit = true;
    script = ''
      ip link add card type veth peer name cable
      ip addr add 192.168.1.1/24 dev cable
      ip link set card up
      ip link set cable up
    '';
    path = [ "/run/current-system/sw" ];
  };
  containers.one = {
    privateNetwork = true;
    macvlans = [ "card" ];
    config = { };
  };
  containers.two = {
    privateNetwork = true;
    macvlans = [ "card" ];
    config = { };
  };
}
