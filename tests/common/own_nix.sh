# Gives this host a Nix of its own: a store with nothing but the closures of the
# given paths, a database, roots, and a daemon. On a throwaway host, store and
# database are the machine's otherwise, and its garbage collector would take them.
set -euo pipefail

place=/run/throwaway/nix
mkdir -p $place/store $place/var/nix/daemon-socket $place/var/nix/gcroots/kept
paths=$(nix-store --query --requisites "$@")
nix-store --dump-db $paths >$place/registration
for path in $paths; do
    copy=$place/store/${path##*/}
    if [ -L "$path" ]; then
        cp --no-dereference "$path" "$copy"
        continue
    elif [ -d "$path" ]; then
        mkdir "$copy"
    else
        touch "$copy"
    fi
    mount --bind "$path" "$copy"
done
# What is mounted below it is of no use here.
mount --bind $place/var /nix/var
mount --rbind $place/store /nix/store
nix-store --load-db <$place/registration
for path in "$@"; do ln -s "$path" /nix/var/nix/gcroots/kept/; done
nix-daemon >$place/daemon.log 2>&1 &
until [ -S /nix/var/nix/daemon-socket/socket ]; do
    kill -0 $!
    sleep 0.01
done

# Containers have the usual places in it.
for place in PROFILE:profiles GCROOT:gcroots; do
    sed -i "s|^NIXOS_CONTAINER_${place%:*}_DIR=.*|NIXOS_CONTAINER_${place%:*}_DIR=/nix/var/nix/${place#*:}/per-container|" \
        /run/throwaway/env
done
