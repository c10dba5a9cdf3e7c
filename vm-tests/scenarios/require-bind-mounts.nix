{
  systemd.tmpfiles.rules = [ "d /srv/there 0755 root root" ];
  containers.missing = {
    bindMounts."/srv/missing" = { };
    config = { };
  };
  # Before `systemctl status` has asked for the cause of the failure.
  systemd.services."container@missing".serviceConfig.RestartSec = "1ms";
  containers.there = {
    bindMounts."/srv/there" = { };
    config = { };
  };
}
