# The test cluster: built once into a cache outside the checkout, started, used and removed. See tests/cluster/README.md.

.PHONY: cluster-build cluster cluster-down

SEATRIAL_CACHE ?= $(HOME)/.cache/seatrial
# Where `make cluster` keeps its cluster.
CLUSTER_DIR ?= /var/tmp/seatrial-cluster
# Where `make test` starts its own: the same place each time, so that one that was interrupted is found and removed.
CLUSTER_TEST_DIR = /var/tmp/seatrial-test-$(shell echo $(CURDIR) | sha256sum | cut -c1-8)

CLUSTER_SOURCES = $(shell find tests/cluster -name '*.go' -o -name 'go.*' | LC_ALL=C sort)
CLUSTER_HASH = $(shell cat $(CLUSTER_SOURCES) tests/cluster/cluster.mk | sha256sum | cut -c1-12)
CLUSTER_HOME = $(SEATRIAL_CACHE)/cluster-$(CLUSTER_HASH)

# Go comes as a module of the Go module proxy, because Debian's is too old and golang.org is not a package registry.
GO_VERSION = 1.26.8
GO_SHA256_amd64 = 30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7
GO_SHA256_arm64 = 02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99
GO_HOME = $(SEATRIAL_CACHE)/go-$(GO_VERSION)

KUBERNETES = $(shell sed -n 's/^\tk8s.io\/kubernetes v//p' tests/cluster/go.mod)
KUBERNETES_MINOR = $(word 2,$(subst ., ,$(KUBERNETES)))
VERSION_PACKAGES = k8s.io/component-base/version k8s.io/client-go/pkg/version
VERSION_FLAGS = $(foreach package,$(VERSION_PACKAGES),-X $(package).gitVersion=v$(KUBERNETES) -X $(package).gitMajor=1 \
  -X $(package).gitMinor=$(KUBERNETES_MINOR) -X $(package).gitTreeState=clean)

# Nothing reads debug information or the traces of requests, and both take time to build.
cluster-build:
	@home=$(CLUSTER_HOME); [ ! -x $$home/seatrial-cluster ] || exit 0; \
	set -e; mkdir -p $(SEATRIAL_CACHE); \
	go=; for candidate in go /usr/local/go/bin/go $(GO_HOME)/bin/go; do \
	  version=$$($$candidate env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p'); \
	  if [ "$${version:-0}" -ge 26 ]; then go=$$candidate; break; fi; \
	done; \
	if [ -z "$$go" ]; then $(MAKE) --no-print-directory $(GO_HOME)/bin/go; go=$(GO_HOME)/bin/go; fi; \
	echo "building the test cluster into $$home: 10 minutes on two cores the first time"; \
	rm -rf $$home.next; mkdir $$home.next; \
	cd tests/cluster; export CGO_ENABLED=0; \
	build() { $$go build -trimpath -buildvcs=false -tags grpcnotrace -gcflags=all=-dwarf=false -ldflags "-s -w $(VERSION_FLAGS)" "$$@"; }; \
	build -o $$home.next/pause ./pause; \
	build -o $$home.next/attacher ./attacher; \
	build -o $$home.next/seatrial-cluster .; \
	ln -s seatrial-cluster $$home.next/kubectl; \
	rm -rf $$home; mv $$home.next $$home

$(GO_HOME)/bin/go:
	@set -e; case $$(uname -m) in x86_64) arch=amd64; sum=$(GO_SHA256_amd64);; aarch64) arch=arm64; sum=$(GO_SHA256_arm64);; \
	  *) echo "error: install Go 1.26 or later, https://go.dev/dl, to build the test cluster" >&2; exit 1;; esac; \
	echo "fetching Go $(GO_VERSION), because no Go 1.26 or later is installed"; \
	name=golang.org/toolchain@v0.0.1-go$(GO_VERSION).linux-$$arch; \
	rm -rf $(GO_HOME).next; mkdir -p $(GO_HOME).next; \
	curl -fsSL -o $(GO_HOME).next/go.zip https://proxy.golang.org/golang.org/toolchain/@v/$${name#*@}.zip; \
	echo "$$sum  $(GO_HOME).next/go.zip" | sha256sum --check --quiet; \
	unzip -q $(GO_HOME).next/go.zip -d $(GO_HOME).next; \
	chmod +x $(GO_HOME).next/$$name/bin/* $(GO_HOME).next/$$name/pkg/tool/*/*; \
	mv $(GO_HOME).next/$$name $(GO_HOME); rm -rf $(GO_HOME).next

# A cluster that stays; the last line is its kubeconfig.
cluster: install cluster-build
	@$(sudo) $(CLUSTER_HOME)/seatrial-cluster up --nodes 3 --dir $(CLUSTER_DIR)

cluster-down: cluster-build
	@$(sudo) $(CLUSTER_HOME)/seatrial-cluster down --dir $(CLUSTER_DIR)
