{ lib, ... }:
{
  # The host's journal directory, which links of containers' journals need.
  systemd.tmpfiles.rules = [ "d /var/log/journal 2755 root root" ];
  # A container for each mode, with the mode as its name.
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
