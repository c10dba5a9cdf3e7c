# What a container is to those in it, a line for each fact. Runs inside, under
# the container's own shell.
set -eu
shopt -s nullglob globstar

# Until its boot is over; says how that went.
echo "state $(systemctl is-system-running --wait || true)"
systemctl --failed --plain --no-legend | sed 's/^/failed /'
echo "virtualization $(systemd-detect-virt --container || true)"
echo "host name $(cat /proc/sys/kernel/hostname)"

# Without what the systemd in there mounts by itself for its units and users.
sed -E 's/^/mountinfo /' /proc/self/mountinfo | grep -vE ' /run/(credentials|user)/'

for key in Umask Uid Gid Groups SigBlk SigIgn SigCgt CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp; do
    echo "status $(grep "^$key:" /proc/1/status)"
done
sed 1d /proc/1/limits | sed 's/^/limit /'
tr '\0' '\n' </proc/1/environ | sed 's/^/environment /'
grep '^0::' /proc/1/cgroup | sed 's/^/cgroup /'
for setting in oom_score_adj personality coredump_filter loginuid; do
    [ ! -e "/proc/1/$setting" ] || echo "setting $setting $(cat "/proc/1/$setting")"
done
for namespace in /proc/1/ns/*; do
    echo "namespace ${namespace##*/} $(readlink "$namespace")"
done
echo "boot $(cat /proc/sys/kernel/random/boot_id)"

# Type, permissions, owner, device number and link target of each.
stat --format='file %N %F %a %u:%g %t:%T' /dev/** /run/host/** /sys/* /sys/fs/*
