#!@busybox@ sh
# Makes the running root that of this system. Works before /usr is there.

systemConfig=@out@
status=0

failed() {
    echo "Activation script snippet '$1' failed" >&2
    status=1
}

umask 022

@activationSnippets@

ln -sfn "$systemConfig" /run/current-system.new
mv -fT /run/current-system.new /run/current-system

exit $status
