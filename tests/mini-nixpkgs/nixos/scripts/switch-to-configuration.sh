#!@busybox@ sh
# Activates this system in a running container and brings the units in line.
#
#   switch-to-configuration switch|boot|test|dry-activate
#
# The profile has been set by the caller, and there is no boot loader: `boot`
# has nothing to do, and `switch` and `test` are the same.
#
# Exit status: 0; 1 wrong usage; 2 the activation failed; 4 a unit failed.

out=@out@
systemctl=$out/systemd/bin/systemctl

say_units() { [ -z "$2" ] || echo "$1:$(echo "$2" | sed 's/ /, /g; s/^,//')" >&2; }

case ${1-} in
switch | test | dry-activate) action=$1 ;;
boot) exit 0 ;;
*)
    echo "usage: $0 switch|boot|test|dry-activate" >&2
    exit 1
    ;;
esac

if [ ! -e /etc/NIXOS ]; then
    echo "This is not a NixOS installation!" >&2
    exit 1
fi

old=$(readlink -f /run/current-system)

active_units() {
    "$systemctl" list-units --plain --no-legend --full \
        --state=active,activating,reloading --type=service,socket,target,timer |
        while read -r unit _; do echo "$unit"; done | sort
}

# Where a unit's file is in a system: in its own units, else in systemd's.
unit_file() {
    local dir
    for dir in "$1/etc/systemd/system" "$1/systemd/lib/systemd/system"; do
        [ ! -e "$dir/$2" ] || { echo "$dir/$2" && return; }
    done
    return 1
}

# The name under which the file of a unit is found: foo@bar.service comes from
# foo@.service, unless it has a file of its own.
unit_file_name() {
    case $1 in
    *@*.*)
        if unit_file "$old" "$1" >/dev/null || unit_file "$out" "$1" >/dev/null; then
            echo "$1"
        else
            echo "${1%%@*}@.${1##*.}"
        fi
        ;;
    *) echo "$1" ;;
    esac
}

unit_text() {
    cat "$(unit_file "$1" "$2")" "$1/etc/systemd/system/$2.d/overrides.conf" 2>/dev/null
}

has_unit() { unit_file "$1" "$2" >/dev/null; }
is_masked() { [ "$(unit_file "$1" "$2")" -ef /dev/null ]; }
says() { unit_text "$out" "$1" | grep -qx "$2"; }

stop='' restart='' reload='' start='' skip=''
active_before=$(active_units)
for unit in $active_before; do
    name=$(unit_file_name "$unit")
    if ! has_unit "$old" "$name"; then
        # Made at run time; none of ours.
        :
    elif ! has_unit "$out" "$name" || is_masked "$out" "$name"; then
        stop="$stop $unit"
    elif [ "$(unit_text "$old" "$name")" = "$(unit_text "$out" "$name")" ]; then
        :
    elif says "$name" X-RestartIfChanged=false; then
        skip="$skip $unit"
    elif says "$name" X-ReloadIfChanged=true; then
        reload="$reload $unit"
    else
        case $unit in
        *.target) ;;
        *.socket | *.timer) stop="$stop $unit" start="$start $unit" ;;
        *)
            if says "$name" X-StopIfChanged=false; then
                restart="$restart $unit"
            else
                stop="$stop $unit" start="$start $unit"
            fi
            ;;
        esac
    fi
done

if [ "$action" = dry-activate ]; then
    say_units "would stop the following units" "$stop"
    say_units "would NOT restart the following changed units" "$skip"
    echo "would activate the configuration..." >&2
    say_units "would reload the following units" "$reload"
    say_units "would restart the following units" "$restart"
    say_units "would start the following units" "$start"
    exit 0
fi

if [ -n "$stop" ]; then
    say_units "stopping the following units" "$stop"
    "$systemctl" stop $stop
fi
say_units "NOT restarting the following changed units" "$skip"

echo "activating the configuration..." >&2
result=0
"$out/activate" || result=2

if [ "$(readlink -f "$old/systemd/lib/systemd/systemd")" != "$(readlink -f "$out/systemd/lib/systemd/systemd")" ]; then
    echo "restarting systemd..." >&2
    "$systemctl" daemon-reexec || result=2
fi
"$systemctl" reset-failed
"$systemctl" daemon-reload || result=3
"$out/systemd/bin/systemd-tmpfiles" --create || true

if [ -n "$reload" ]; then
    say_units "reloading the following units" "$reload"
    "$systemctl" reload $reload || result=4
fi
if [ -n "$restart" ]; then
    say_units "restarting the following units" "$restart"
    "$systemctl" restart $restart || result=4
fi
if [ -n "$start" ]; then
    say_units "starting the following units" "$start"
fi
# The targets start what this system wants and did not run.
"$systemctl" start $start default.target sockets.target timers.target || result=4

fresh=''
for unit in $(active_units); do
    case $unit in *.service | *.socket | *.timer) ;; *) continue ;; esac
    case " $start $restart " in *" $unit "*) continue ;; esac
    echo "$active_before" | grep -qxF "$unit" || fresh="$fresh $unit"
done
say_units "the following new units were started" "$fresh"

broken=$("$systemctl" list-units --plain --no-legend --full --state=failed |
    while read -r unit _; do printf ' %s' "$unit"; done)
if [ -n "$broken" ]; then
    say_units "warning: the following units failed" "$broken"
    "$systemctl" status --no-pager --full --lines=10 $broken >&2
    result=4
fi
exit $result
