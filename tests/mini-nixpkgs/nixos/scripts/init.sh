#!@busybox@ sh
# Stage 2: makes a root of next to nothing, activates the system and becomes
# systemd. Runs as the container's PID 1, at every boot.
#
# The interpreter is static and its shell has its applets built in: neither
# /usr nor /lib64 is there yet.

systemConfig=@out@
export HOME=/root

printf '\n\033[1;32m<<< NixOS Stage 2 >>>\033[0m\n\n'

umask 022
make_dir() { [ -d "$2" ] || mkdir -p -m "$1" "$2"; }
for dir in /etc/nixos /home /nix/var/nix /run/lock /var/empty /var/lib /var/log; do
    make_dir 0755 "$dir"
done
make_dir 0700 /root
make_dir 1777 /tmp
make_dir 1777 /var/tmp
[ -L /var/run ] || { rm -rf /var/run && ln -s /run /var/run; }
[ -L /var/lock ] || { rm -rf /var/lock && ln -s /run/lock /var/lock; }
[ -L /etc/mtab ] || ln -sf /proc/mounts /etc/mtab

echo "running activation script..."
"$systemConfig/activate"

ln -sfn "$systemConfig" /run/booted-system

echo "starting systemd..."
exec /run/current-system/systemd/lib/systemd/systemd "$@"
