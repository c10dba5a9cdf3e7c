{
  containers.fresh = {
    ephemeral = true;
    autoStart = true;
    config.systemd.tmpfiles.rules = [ "d /var/lib/data 0755 root root" ];
  };
}
