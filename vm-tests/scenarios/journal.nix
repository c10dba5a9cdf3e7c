{ lib, ... }:
{
  # Where the host keeps its journal, and containers' are linked to.
  systemd.tmpfiles.rules = [ "d /var/log/journal 2755 root root" ];
  # A container for each mode, of its name.
  containers =
    lib.genAttrs
      [
        "no"
        "auto"
        "host"
        "try-host"
        "guest"
        "try-guest"
      ]
      (mode: {
        autoStart = true;
        extraFlags = [ "--link-journal=${mode}" ];
        config = { };
      });
}
