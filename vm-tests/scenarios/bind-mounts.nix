{
  systemd.tmpfiles.rules = [ "d /srv/music 0755 root root" ];
  containers.player = {
    autoStart = true;
    bindMounts."/music".hostPath = "/srv/music";
    bindMounts."/work" = {
      hostPath = "/srv/music";
      isReadOnly = false;
    };
    config = { };
  };
}
