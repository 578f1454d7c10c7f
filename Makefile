# `make test` installs what the tests need and runs all of them, as continuous integration does.

.PHONY: build test lint install fuzz

# Tests make namespaces and filesystems, which takes root: of `cargo test`, only the test programs get it.
ifneq ($(shell id -u),0)
sudo := sudo
host := $(shell rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
test: export CARGO_TARGET_$(host)_RUNNER := sudo --preserve-env
endif

build:
	cargo build --release

test: install lint
	cargo test --all-features

lint:
	cargo fmt --check
	cargo clippy --all-targets --all-features -- -D warnings
	cargo check --no-default-features
	cargo check --no-default-features --features sandbox

# Debian and Ubuntu packages: real stores and tools that tests run. Rust comes from rust-toolchain.toml.
install:
	@missing=""; \
	for package in etcd-server nftables busybox-static e2fsprogs iproute2; do \
	  dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing$$missing"; \
	  $(sudo) env DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing"; \
	fi

# Fuzzes everything that reads input, a minute each. Needs nightly Rust and cargo-fuzz.
fuzz:
	for target in spec manifest journal; do \
	  cargo +nightly fuzz run --fuzz-dir tests/fuzz $$target -- -max_total_time=60 || exit 1; \
	done
