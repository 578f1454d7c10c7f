package control

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seatrial.dev/tests/cluster/layout"
)

const (
	firstRange = 100
	ranges     = 100
)

// chooseRange finds a second byte of addresses 10.x that nothing on this machine uses. The search begins at a place that
// follows from the directory, so that a cluster usually gets the same addresses again.
func chooseRange(cluster layout.Cluster) (int, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return 0, fmt.Errorf("listing routes: %w", err)
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return 0, fmt.Errorf("listing addresses: %w", err)
	}
	var used []*net.IPNet
	for _, route := range routes {
		if route.Dst != nil && !route.Dst.IP.IsUnspecified() {
			used = append(used, route.Dst)
		}
	}
	for _, address := range addresses {
		used = append(used, address.IPNet)
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(cluster.Dir))
	for step := range ranges {
		cluster.Range = firstRange + (int(hash.Sum32()%ranges)+step)%ranges
		_, whole, err := net.ParseCIDR(cluster.WholeRange())
		if err != nil {
			return 0, err
		}
		free := true
		for _, other := range used {
			free = free && !other.Contains(whole.IP) && !whole.Contains(other.IP)
		}
		if free {
			return cluster.Range, nil
		}
	}
	return 0, errors.New("all of 10.100.0.0/16 to 10.199.0.0/16 is in use on this machine: `down` a cluster that is not needed")
}

func makeBridge(cluster layout.Cluster) error {
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	bridge.Name = cluster.Bridge()
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("making the bridge %s: %w", bridge.Name, err)
	}
	address, err := netlink.ParseAddr(cluster.Gateway() + "/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(bridge, address); err != nil {
		return fmt.Errorf("setting the address of the bridge %s: %w", bridge.Name, err)
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return fmt.Errorf("setting the bridge %s up: %w", bridge.Name, err)
	}
	return nil
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	// A link goes by itself when the namespace of its other end does.
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("removing the link %s: %w", name, err)
	}
	return nil
}

// Cut takes the node's link away; Heal gives it back. Nothing else changes: its pods run on, cut off from everything.
func Cut(dir, name string) error { return setLink(dir, name, netlink.LinkSetDown) }

// Heal ends Cut.
func Heal(dir, name string) error { return setLink(dir, name, netlink.LinkSetUp) }

func setLink(dir, name string, change func(netlink.Link) error) error {
	cluster, err := layout.Load(dir)
	if err != nil {
		return err
	}
	number, err := cluster.Node(name)
	if err != nil {
		return err
	}
	link, err := netlink.LinkByName(cluster.Veth(number))
	if err != nil {
		return fmt.Errorf("node %s has no link, because it is off: `power-on %s` starts it: %w", name, name, err)
	}
	if err := change(link); err != nil {
		return fmt.Errorf("changing the link of node %s: %w", name, err)
	}
	return nil
}
