// Package dns answers the names of the cluster with CoreDNS and the two plugins that this needs.
package dns

import (
	"fmt"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind"       // one address, so that clusters do not meet
	_ "github.com/coredns/coredns/plugin/errors"     // why a lookup failed, in the log
	_ "github.com/coredns/coredns/plugin/kubernetes" // Services, their endpoints and pods
)

// Run serves port 53 of the address until it is killed.
func Run(address, kubeconfig string) error {
	dnsserver.Directives = []string{"bind", "errors", "kubernetes"}
	corefile := fmt.Sprintf(`.:53 {
	bind %s
	errors
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		kubeconfig %s
		ttl 5
	}
}`, address, kubeconfig)
	caddy.Quiet = true
	instance, err := caddy.Start(caddy.CaddyfileInput{
		Filepath: "Corefile", Contents: []byte(corefile), ServerTypeName: "dns",
	})
	if err != nil {
		return fmt.Errorf("starting CoreDNS on %s: %w", address, err)
	}
	instance.Wait()
	return nil
}
