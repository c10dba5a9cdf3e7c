{
  systemd.tmpfiles.rules = [
    "d /srv/music 0755 root root"
    "d '/srv/more music' 0755 root root"
  ];
  containers.player = {
    autoStart = true;
    bindMounts."/music".hostPath = "/srv/music";
    bindMounts."/work" = {
      hostPath = "/srv/music";
      isReadOnly = false;
    };
    bindMounts."/more music".hostPath = "/srv/more music";
    config = { };
  };
}
