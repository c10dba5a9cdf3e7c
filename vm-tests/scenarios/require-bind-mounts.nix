{
  systemd.tmpfiles.rules = [ "d /srv/there 0755 root root" ];
  containers.missing = {
    bindMounts."/srv/missing" = { };
    config = { };
  };
  containers.there = {
    bindMounts."/srv/there" = { };
    config = { };
  };
}
