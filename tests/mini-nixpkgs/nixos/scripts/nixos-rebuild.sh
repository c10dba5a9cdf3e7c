# Builds a system from its configuration and makes it the machine's.
#
#   nixos-rebuild ACTION [OPTION…]
#
# ACTION: switch  build, make it the next boot's and activate it
#         boot    build and make it the next boot's
#         test    build and activate it
#         build   build alone, and leave a link `result'
#         dry-build, dry-activate   say what would be done
#         list-generations
#
# OPTION: --flake REF[#ATTRIBUTE]  else /etc/nixos/configuration.nix, or
#                                  /etc/nixos/flake.nix if that is there
#         --upgrade                updates the channels before
#         --rollback               the generation before instead of a build
#         -I, --option, --show-trace, --impure and other options of Nix
set -u

profile=/nix/var/nix/profiles/system
action='' flake='' rollback='' upgrade=''
nix_options=()

die() {
    echo "error: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    switch | boot | test | build | dry-build | dry-activate | list-generations) action=$1 ;;
    --flake) flake=${2?} && shift ;;
    --upgrade) upgrade=1 ;;
    --rollback) rollback=1 ;;
    -I | --log-format | --update-input) nix_options+=("$1" "${2?}") && shift ;;
    --option | --override-input) nix_options+=("$1" "${2?}" "${3?}") && shift 2 ;;
    --show-trace | --impure | --refresh | --no-* | --commit-lock-file | --recreate-lock-file | -L | -v | -K)
        nix_options+=("$1")
        ;;
    *) die "unknown option: $1" ;;
    esac
    shift
done
[ -n "$action" ] || die "no action given"
[ -n "$flake" ] || [ ! -e /etc/nixos/flake.nix ] || flake=/etc/nixos

if [ "$action" = list-generations ]; then
    exec nix-env --profile $profile --list-generations
fi
[ -z "$upgrade" ] || nix-channel --update || die "cannot update the channels"

# Builds the system's attribute $1; further arguments are for the builder.
build() {
    local attribute=config.system.build.$1
    shift
    if [ -n "$flake" ]; then
        local name=$(hostname)
        case $flake in *'#'*) name=${flake#*#} flake=${flake%%#*} ;; esac
        nix --extra-experimental-features 'nix-command flakes' build "$@" \
            "${nix_options[@]}" -- "$flake#nixosConfigurations.\"$name\".$attribute"
    else
        nix-build '<nixpkgs/nixos>' -A "$attribute" "$@" "${nix_options[@]}" >/dev/null
    fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -n "$rollback" ]; then
    case $action in
    switch | boot) nix-env --profile $profile --rollback || exit ;;
    *) die "--rollback goes with switch and boot" ;;
    esac
    system=$profile
else
    echo "building the system configuration..." >&2
    case $action in
    build) build toplevel; exit ;;
    dry-build) build toplevel --dry-run; exit ;;
    esac
    build toplevel --out-link "$work/system" || exit
    system=$(readlink "$work/system")
    case $action in
    switch | boot) nix-env --profile $profile --set "$system" || exit ;;
    esac
fi

"$system/bin/switch-to-configuration" "$action" || {
    status=$?
    echo "warning: error(s) occurred while switching to the new configuration" >&2
    exit $status
}
