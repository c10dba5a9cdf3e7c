# A web server with the options of Apache that the tests use; the program is
# busybox' httpd.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.httpd;
in
{
  options.services.httpd = {
    enable = lib.mkEnableOption "the web server";
    adminAddr = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The administrator's mail address, shown on the page.";
    };
    documentRoot = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "The directory to serve; null: a directory with a test page.";
    };
    port = mkOption {
      type = types.port;
      default = 80;
      description = "The port it listens on.";
    };
  };

  config = lib.mkIf cfg.enable {
    systemd.services.httpd = {
      description = "Web server";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      serviceConfig = {
        ExecStart = "${pkgs.tree}/usr/bin/busybox httpd -f -p ${toString cfg.port} -h ${
          if cfg.documentRoot != null then
            cfg.documentRoot
          else
            pkgs.writeTextDir "index.html" ''
              <!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
              <html><head><title>It works!</title></head>
              <body><h1>It works!</h1>
              <p>${lib.optionalString (cfg.adminAddr != null) "Served for ${cfg.adminAddr}."}</p></body></html>
            ''
        }";
        Restart = "always";
      };
    };
  };
}
