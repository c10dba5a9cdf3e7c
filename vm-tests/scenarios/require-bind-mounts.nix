{
  systemd.tmpfiles.rules = [ "d /srv/there 0755 root root" ];
  containers.missing = {
    bindMounts."/srv/missing" = { };
    config = { };
  };
  # Before anybody has asked systemd why it failed.
  systemd.services."container@missing".serviceConfig.RestartSec = "1ms";
  containers.there = {
    bindMounts."/srv/there" = { };
    config = { };
  };
}
