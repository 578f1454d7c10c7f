# `make test` installs what the tests need and runs them, as continuous integration does.

.PHONY: build test test-long test-cluster gallery gallery-pages scale lint install kernel fuzz

# Tests make namespaces and filesystems, which takes root: of `cargo test`, only the test programs get it.
ifneq ($(shell id -u),0)
sudo := sudo
host := $(shell rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
test test-long test-cluster gallery gallery-pages scale: export CARGO_TARGET_$(host)_RUNNER := sudo --preserve-env
endif

# A test says where it failed; how it got there through the test framework is the same each time.
test test-long test-cluster gallery gallery-pages: export RUST_BACKTRACE = 0

include tests/cluster/cluster.mk
export SEATRIAL_CACHE

.DEFAULT_GOAL := build
build:
	cargo build --release

# Everything but the longest tests of the cluster, with a Kubernetes of its own that is removed however the tests end.
# SEATRIAL_TEST_KUBECONFIG names another one to be used instead. Most tests wait for deadlines most of the time, so what
# needs the Kubernetes and the rest run beside each other, with so many threads each that both take about as long; the
# output of one follows that of the other. An emulated machine takes what time is left: where the kernel shares processors among
# sessions, it has one of its own, which is nice as a whole (sched(7), autogroups). Last and alone comes what compares
# verdicts of whole runs: a store that shares its processor with everything above may break its promises without any fault.
test: kernel lint
	$(call with_cluster,{ log=$$(mktemp); \
	  { $(call cluster_tests,3) $(short_cluster_tests) --skip $(comparison) --skip $(long); there=$$?; \
	    setsid --wait nice -n 10 sh -c '[ ! -w /proc/self/autogroup ] || echo 10 >/proc/self/autogroup; exec "$$@"' sh \
	      $(call cluster_tests,1) vm_ --skip $(long) && [ $$there = 0 ]; } >$$log 2>&1 & beside=$$!; \
	  cargo test --workspace --all-features -- --test-threads=4 --skip cluster_ --skip vm_ --skip $(long); rest=$$?; \
	  tail --lines=+1 --follow --pid=$$beside $$log; \
	  wait $$beside || { rest=1; echo "== how each began to fail:"; grep -A 14 'panicked at' $$log; }; \
	  rm $$log; [ $$rest = 0 ] && $(call cluster_tests,1) $(comparison); })

# What `test` leaves out for its time: modules that are called `long`.
test-long: kernel
	cargo test --workspace --all-features -- --test-threads=2 $(long) --skip cluster_

# All that needs the Kubernetes: more than half an hour, because whatever stops a node or the API server runs alone.
test-cluster: install
	$(call with_cluster,$(call cluster_tests,3) cluster_)

# Makes reports/ anew from every shipped experiment: here, in a Kubernetes, and in the virtual machine. Half an hour. The journals
# are kept in the cache: `make gallery-pages` makes the pages of them anew, after a change of what these look like.
gallery gallery-pages: export SEATRIAL_GALLERY = $(SEATRIAL_CACHE)/gallery
gallery-pages: install
	$(call cluster_tests,1) gallery::
gallery: kernel
	$(call with_cluster,$(call cluster_tests,2) e2e_experiments:: && \
	  $(call cluster_tests,2) $(shown_cluster_tests) && $(call cluster_tests,1) vm_experiments:: && $(call cluster_tests,1) gallery::)

# Prints what a fault on 1,000 of 5,000 simulated pods on 1,000 nodes takes; an optimised program does it.
SCALE ?= 1000,5000,1000
scale: install cluster-build
	cargo build --profile image --no-default-features --features kubernetes
	SEATRIAL_TEST_CLUSTER_PROGRAM=$(CLUSTER_HOME)/seatrial-cluster SEATRIAL_TEST_SCALE=$(SCALE) \
	SEATRIAL_TEST_PROGRAM=$(CURDIR)/target/image/seatrial cargo test --all-features --test it -- cluster_scale:: --nocapture

cluster_tests = cargo test --all-features --test it -- --test-threads=$(1)
short_cluster_tests = cluster_agent:: cluster_deploy:: cluster_machines:: cluster_pods:: cluster_rights:: cluster_run:: \
  cluster_secure:: cluster_soak::
shown_cluster_tests = cluster_attach::etcd_ cluster_attach::workers_ cluster_claims::a_claim_is_lost_with \
  cluster_nodes::a_volume_that cluster_nodes::a_machine_that_is_off_is_given_up cluster_stores::long::a_standby \
  cluster_stores::long::a_member
comparison = cluster_run::the_same_experiment
long = ::long::

ifdef SEATRIAL_TEST_KUBECONFIG
with_cluster = @$(1)
else
# Everything is built before the cluster is started, and on the disk: whatever a node or a store of a test makes durable
# would wait for that.
define with_cluster
$(MAKE) --no-print-directory cluster-build
cargo test --workspace --all-features --no-run
sync
@dir=$(CLUSTER_TEST_DIR); program=$(CLUSTER_HOME)/seatrial-cluster; \
end() { $(sudo) $$program down --dir $$dir; }; \
[ ! -e $$dir ] || end; \
trap end EXIT; trap 'exit 130' INT TERM; \
$(sudo) $$program up --dir $$dir || exit 1; \
export SEATRIAL_TEST_KUBECONFIG=$$dir/kubeconfig SEATRIAL_TEST_CLUSTER=$$dir SEATRIAL_TEST_CLUSTER_PROGRAM=$$program; \
$(1)
endef
endif

lint:
	cargo fmt --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	cargo check --no-default-features --features sandbox
	cargo check --no-default-features --features kubernetes

# Debian and Ubuntu packages: real stores and tools that tests run. Rust comes from rust-toolchain.toml.
# PostgreSQL's own programs come into /usr/lib/postgresql/VERSION/bin, where tests look for them. Its package would make a
# database and run it as a service, unless it finds this setting, which is there for as long as the installation takes.
no_database = /etc/postgresql-common/createcluster.d/seatrial-tests.conf
packages = etcd-server postgresql nftables busybox-static e2fsprogs xfsprogs iproute2 \
  etcd-client containerd runc containernetworking-plugins qemu-system-x86 kmod dmsetup lvm2
install:
	@missing=""; \
	for package in $(packages); do \
	  dpkg -s $$package >/dev/null 2>&1 || command -v $$package >/dev/null || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing$$missing"; \
	  $(sudo) env DEBIAN_FRONTEND=noninteractive sh -ec "\
	    mkdir -p $(dir $(no_database)); trap 'rm -f $(no_database)' EXIT; echo 'create_main_cluster = false' > $(no_database); \
	    apt-get update -qq; apt-get install -y -qq --no-install-recommends $$missing"; \
	fi

# The kernel of the virtual machine that tests boot (tests/it/vm.rs): a distribution's own, unpacked into the cache and not
# installed, of whichever version was offered when it was not there yet.
kernel: install
	@home=$(SEATRIAL_CACHE)/kernel; [ ! -d $$home ] && [ $$(uname -m) = x86_64 ] || exit 0; \
	echo "unpacking a kernel for the tests' virtual machine into $$home"; \
	set -e; rm -rf $$home.next; mkdir -p $$home.next; cd $$home.next; \
	$(sudo) apt-get update -qq; \
	for name in linux-image-cloud-amd64 linux-image-generic; do \
	  release=$$(apt-cache depends $$name | sed -n 's/^ *Depends: linux-image-\([0-9]\)/\1/p'); \
	  [ -z "$$release" ] || break; \
	done; \
	names="linux-(image|modules|modules-extra)-$${release:?no package of a kernel}"; \
	apt-get download -qq -o APT::Sandbox::User=root $$(apt-cache pkgnames linux- | grep -x -E "$$names"); \
	for package in *.deb; do dpkg-deb -x $$package .; done; \
	[ -d lib ] || ln -s usr/lib lib; \
	/sbin/depmod -b . $$release; \
	rm *.deb; mv $$home.next $$home

# Fuzzes everything that reads input, a minute each, beginning with what people write and what a run wrote. Needs nightly
# Rust and cargo-fuzz.
FUZZ_SECONDS ?= 60
fuzz:
	for target in spec:yaml:experiments manifest:yaml:experiments journal:journal:tests/fuzz/seeds/journal \
	    image:image:tests/fuzz/seeds/image; do \
	  name=$${target%%:*}; words=$${target#*:}; seeds=$${words#*:}; words=$${words%%:*}; \
	  mkdir -p tests/fuzz/corpus/$$name; \
	  cargo +nightly fuzz run --fuzz-dir tests/fuzz $$name tests/fuzz/corpus/$$name $$seeds -- \
	    -dict=tests/fuzz/$$words.dict -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=4096 || exit 1; \
	done
