# The test cluster: built once into a cache outside the checkout, started, used and removed. See tests/cluster/README.md.

.PHONY: cluster-build cluster cluster-down

SEATRIAL_CACHE ?= $(HOME)/.cache/seatrial
# Where `make cluster` keeps its cluster.
CLUSTER_DIR ?= /var/tmp/seatrial-cluster
# Where `make test` starts its own: the same place each time, so that one that was interrupted is found and removed.
CLUSTER_TEST_DIR = /var/tmp/seatrial-test-$(shell echo $(CURDIR) | sha256sum | cut -c1-8)

CLUSTER_SOURCES = $(shell find tests/cluster -name '*.go' -o -name '*.yaml' -o -name 'go.*' | LC_ALL=C sort)
CLUSTER_HASH = $(shell cat $(CLUSTER_SOURCES) tests/cluster/cluster.mk | sha256sum | cut -c1-12)
CLUSTER_HOME = $(SEATRIAL_CACHE)/cluster-$(CLUSTER_HASH)

KUBERNETES = $(shell sed -n 's/^\tk8s.io\/kubernetes v//p' tests/cluster/go.mod)
KUBERNETES_MINOR = $(word 2,$(subst ., ,$(KUBERNETES)))
VERSION_PACKAGES = k8s.io/component-base/version k8s.io/client-go/pkg/version
VERSION_FLAGS = $(foreach package,$(VERSION_PACKAGES),-X $(package).gitVersion=v$(KUBERNETES) -X $(package).gitMajor=1 \
  -X $(package).gitMinor=$(KUBERNETES_MINOR) -X $(package).gitTreeState=clean)

# Nothing reads debug information or the traces of requests, and both take time to build.
cluster-build:
	@home=$(CLUSTER_HOME); [ ! -x $$home/seatrial-cluster ] || exit 0; \
	set -e; mkdir -p $(SEATRIAL_CACHE); \
	go=; for candidate in go /usr/local/go/bin/go; do \
	  version=$$($$candidate env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p'); \
	  if [ "$${version:-0}" -ge 26 ]; then go=$$candidate; break; fi; \
	done; \
	if [ -z "$$go" ]; then echo "error: install Go 1.26 or later to build the test cluster" >&2; exit 1; fi; \
	echo "building the test cluster into $$home: 10 minutes on two cores the first time"; \
	rm -rf $$home.next; mkdir $$home.next; \
	cd tests/cluster; export CGO_ENABLED=0; \
	build() { $$go build -trimpath -buildvcs=false -tags grpcnotrace -gcflags=all=-dwarf=false -ldflags "-s -w $(VERSION_FLAGS)" "$$@"; }; \
	build -o $$home.next/pause ./pause; \
	build -o $$home.next/dev-csi ./dev-csi; \
	build -o $$home.next/seatrial-cluster .; \
	ln -s seatrial-cluster $$home.next/kubectl; \
	rm -rf $$home; mv $$home.next $$home

# A cluster that stays; the last line is its kubeconfig.
cluster: install cluster-build
	@$(sudo) $(CLUSTER_HOME)/seatrial-cluster up --nodes 3 --dir $(CLUSTER_DIR)

cluster-down: cluster-build
	@$(sudo) $(CLUSTER_HOME)/seatrial-cluster down --dir $(CLUSTER_DIR)
