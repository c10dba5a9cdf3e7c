# All targets but build, install, nixpkgs-check and clean need root. Missing
# programs are installed on Debian 12 and 13. Containers are made on a throwaway host
# (tests/throwaway-host): the machine's own containers are not touched.

# Not in the PATH of every root shell: rustup's programs, ip and nft.
export PATH := $(HOME)/.cargo/bin:$(PATH):/usr/sbin:/sbin

# The directory of the built programs; cargo reads the same variable.
programs := $(abspath $(or $(CARGO_TARGET_DIR),target)/release)
# A static program starts faster and needs less memory: it has no libraries to
# find and map. Packed relocations take a tenth of the room (man 1 ld), which a
# start has to read.
build_command := cargo rustc --release --bin nixos-container -- -C target-feature=+crt-static \
    -C link-arg=-Wl,-z,pack-relative-relocs

# The fuzz targets are a workspace of their own, and only compiled here;
# fuzz/README.md says how to run them.
fuzz_targets := --manifest-path fuzz/Cargo.toml --locked --no-default-features \
    --target-dir $(abspath $(or $(CARGO_TARGET_DIR),target)/fuzz)

on_throwaway_host := PATH="$(programs):$$PATH" tests/throwaway-host

# The prefix of `make install`; packages set DESTDIR, which comes before it.
PREFIX ?= /usr/local
share := $(DESTDIR)$(PREFIX)/share
units := $(DESTDIR)$(PREFIX)/lib/systemd

# Of `make soak`: the number of operations, and the seed that they follow from.
soak_options := $(if $(OPERATIONS),--operations $(OPERATIONS)) $(if $(SEED),--seed $(SEED))

# How long `make fuzz` runs each target, in seconds.
FUZZ_SECONDS ?= 60

.PHONY: help demo test vm-test nixpkgs-check soak bench fuzz build install clean \
    installed-demo installed-test installed-vm-test installed-bench

help:
	@echo 'make demo    installs what is missing, builds the command and shows containers'
	@echo '             from creation to destruction, on a throwaway host'
	@echo 'make test    installs what is missing, checks format and lints, runs all tests'
	@echo '             (what a build server runs, too)'
	@echo 'make vm-test installs what is missing, runs the scenarios of vm-tests/ on a whole'
	@echo '             machine that QEMU emulates; prints how long each took'
	@echo 'make nixpkgs-check NIXPKGS=DIR'
	@echo '             evaluates the NixOS module, the package and the checks on the nixpkgs in'
	@echo '             DIR, and compares hosts with what its own module makes of them'
	@echo 'make soak    installs what is missing, does 10000 random operations on 20 containers of'
	@echo '             one throwaway host, kills among them (OPERATIONS=NUMBER, SEED=NUMBER)'
	@echo 'make bench   installs what is missing, times the command beside crun, runc,'
	@echo '             bubblewrap and systemd-nspawn; prints Markdown tables.'
	@echo '             BENCH_BASELINE=FILE adds rows for another build of the command'
	@echo 'make fuzz    installs what is missing, runs each fuzz target for FUZZ_SECONDS ($(FUZZ_SECONDS))'
	@echo 'make build   builds the command'
	@echo '             ($(programs)/nixos-container)'
	@echo 'make install'
	@echo '             builds and installs the command, its manual pages and completions'
	@echo '             for bash, zsh and fish to $(DESTDIR)$(PREFIX) (DESTDIR, PREFIX)'
	@echo 'make clean   removes what was built here'
	@echo '             (installed packages and the tree in the Nix store stay)'

installed-demo installed-test installed-vm-test installed-bench: installed-%:
	@echo 'Installing what is missing for $*'
	tests/prerequisites $*
	tests/mini-nixpkgs/make-tree

demo: installed-demo
	@echo 'Demo: building, then tests/demo on a throwaway host'
	$(build_command)
	$(on_throwaway_host) tests/demo

test: installed-test
	@echo 'Test: format, lints, Nix modules and all tests'
	cargo fmt --all --check
	tests/check-spelling
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy $(fuzz_targets) -- -D warnings
	tests/check-aarch64
	tests/mini-nixpkgs/check
	cargo test --workspace --no-fail-fast

vm-test: installed-vm-test
	@echo 'VM test: building, then vm-tests/run on an emulated machine'
	$(build_command)
	image=$$(vm-tests/vm/make-disk) && \
	    $(on_throwaway_host) vm-tests/run --bed vm --image "$$image"

nixpkgs-check:
	@echo 'Nixpkgs check: comparing hosts, evaluating the package and the checks; some minutes'
	tests/nixpkgs_check/run "$(NIXPKGS)"

soak: installed-test
	@echo 'Soak: building, then tests/soak.rs'
	cargo test --test soak -- $(soak_options)

bench: installed-bench
	@echo 'Bench: building, then benches/run on a throwaway host'
	cargo build --release --package benches
	$(build_command)
	$(on_throwaway_host) benches/run

fuzz:
	@echo 'Fuzz: installing what is missing, then each target of fuzz/ for $(FUZZ_SECONDS) s'
	tests/prerequisites fuzz
	tests/fuzz $(FUZZ_SECONDS)

build:
	@echo 'Build: the command, with optimisation'
	$(build_command)

# The command writes its manual pages and completions itself.
install: build
	@echo 'Install: the command, its manual pages, completions and unit to $(DESTDIR)$(PREFIX)'
	install -D --mode=755 $(programs)/nixos-container $(DESTDIR)$(PREFIX)/bin/nixos-container
	$(programs)/nixos-container man $(share)/man
	mkdir -p $(share)/bash-completion/completions $(share)/zsh/site-functions \
	    $(share)/fish/vendor_completions.d
	NIXOS_CONTAINER_COMPLETE=bash $(programs)/nixos-container \
	    >$(share)/bash-completion/completions/nixos-container
	NIXOS_CONTAINER_COMPLETE=zsh $(programs)/nixos-container \
	    >$(share)/zsh/site-functions/_nixos-container
	NIXOS_CONTAINER_COMPLETE=fish $(programs)/nixos-container \
	    >$(share)/fish/vendor_completions.d/nixos-container.fish
	mkdir -p $(units)/system $(units)/system-generators
	sed 's|@bindir@|$(PREFIX)/bin|' systemd/container@.service >$(units)/system/container@.service
	ln -sf $(PREFIX)/bin/nixos-container $(units)/system-generators/nixos-container-generator
	install -D --mode=644 --target-directory=$(units)/network systemd/network/*
	install -D --mode=644 --target-directory=$(DESTDIR)$(PREFIX)/lib/udev/rules.d systemd/udev/*

clean:
	@echo 'Clean: removing what cargo built and tests/mini-nixpkgs/tree.nix'
	cargo clean
	rm -f tests/mini-nixpkgs/tree.nix
