package node

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"seatrial.dev/tests/cluster/layout"
)

// makeNetwork joins the node to the bridge by a link of its own, and makes its pods reachable from this machine and from
// the other nodes by routes alone.
func makeNetwork(cluster layout.Cluster, number int) error {
	defer os.NewFile(MachineNetwork, "machine's network").Close()
	machine, err := netlink.NewHandleAt(netns.NsHandle(MachineNetwork))
	if err != nil {
		return fmt.Errorf("opening the machine's network: %w", err)
	}
	defer machine.Close()
	bridge, err := machine.LinkByName(cluster.Bridge())
	if err != nil {
		return fmt.Errorf("finding the bridge %s: %w", cluster.Bridge(), err)
	}
	link := netlink.NewVeth(netlink.LinkAttrs{Name: "eth0"})
	link.PeerName = cluster.Veth(number)
	link.PeerNamespace = netlink.NsFd(MachineNetwork)
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("making the node's link: %w", err)
	}
	peer, err := machine.LinkByName(cluster.Veth(number))
	if err != nil {
		return fmt.Errorf("finding the machine's end of the node's link: %w", err)
	}
	if err := machine.LinkSetMaster(peer, bridge); err != nil {
		return fmt.Errorf("joining the bridge: %w", err)
	}
	if err := machine.LinkSetUp(peer); err != nil {
		return fmt.Errorf("setting the machine's end of the node's link up: %w", err)
	}
	pods := route(cluster.PodRange(number), cluster.NodeAddress(number))
	pods.LinkIndex = bridge.Attrs().Index
	if err := machine.RouteReplace(pods); err != nil {
		return fmt.Errorf("routing to the node's pods: %w", err)
	}
	return makeInside(cluster, number)
}

func makeInside(cluster layout.Cluster, number int) error {
	own, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	address, err := netlink.ParseAddr(cluster.NodeAddress(number) + "/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(own, address); err != nil {
		return fmt.Errorf("setting the node's address: %w", err)
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	for _, link := range []netlink.Link{own, loopback} {
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("setting %s up: %w", link.Attrs().Name, err)
		}
	}
	routes := []*netlink.Route{route("0.0.0.0/0", cluster.Gateway())}
	for other := 1; other <= cluster.Nodes; other++ {
		if other != number {
			routes = append(routes, route(cluster.PodRange(other), cluster.NodeAddress(other)))
		}
	}
	for _, route := range routes {
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("routing to %s: %w", route.Dst, err)
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

func route(to, through string) *netlink.Route {
	_, destination, err := net.ParseCIDR(to)
	if err != nil {
		panic("the layout made a range that is none: " + to)
	}
	return &netlink.Route{Dst: destination, Gw: net.ParseIP(through)}
}
