package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"k8s.io/klog/v2"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// Serve answers at the socket for the controller's side.
func (d *Driver) Serve(socket string) error {
	server := grpc.NewServer()
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	return serve(server, socket)
}

// Node is what a node's side needs to know.
type Node struct {
	Driver       string // its name
	Name         string // the node's
	Socket       string // where it answers, by a path that is kubelet's as well
	Registration string // where it tells kubelet of itself
	TellsMachine bool   // whether the controller is to check that it shares the kernel
}

// RunNode serves a node's side and tells kubelet of it.
func RunNode(node Node) error {
	id := node.Name
	if node.TellsMachine {
		machine, err := bootID()
		if err != nil {
			return err
		}
		id += atMachine + machine
	}
	plugin := &nodePlugin{identity: identity{name: node.Driver}, id: id}
	server := grpc.NewServer()
	csi.RegisterIdentityServer(server, plugin)
	csi.RegisterNodeServer(server, plugin)
	registrar := grpc.NewServer()
	registration.RegisterRegistrationServer(registrar, announcement{driver: node.Driver, socket: node.Socket})
	failed := make(chan error, 2)
	go func() { failed <- serve(server, node.Socket) }()
	go func() { failed <- serve(registrar, node.Registration) }()
	return <-failed
}

// atMachine parts a node's name from its machine in what CSI calls the node's id.
const atMachine = "@"

// bootID names the running kernel, which is the same in every container of a machine.
func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading which kernel this is: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func serve(server *grpc.Server, socket string) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the old socket: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listening at %s: %w", socket, err)
	}
	return server.Serve(listener)
}

// announcement answers kubelet's plugin watcher.
type announcement struct {
	registration.UnimplementedRegistrationServer
	driver, socket string
}

func (a announcement) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: a.driver, Endpoint: a.socket, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (a announcement) NotifyRegistrationStatus(_ context.Context, result *registration.RegistrationStatus) (
	*registration.RegistrationStatusResponse, error,
) {
	klog.InfoS("kubelet answered the registration", "registered", result.PluginRegistered, "error", result.Error)
	return &registration.RegistrationStatusResponse{}, nil
}

// identity is what both sides say of themselves.
type identity struct {
	csi.UnimplementedIdentityServer
	name string
}

// GetPluginInfo names the driver.
func (i identity) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: i.name, VendorVersion: "1"}, nil
}

// GetPluginCapabilities says that there is a controller.
func (i identity) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{{
		Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{
			Type: csi.PluginCapability_Service_CONTROLLER_SERVICE,
		}},
	}}}, nil
}

// Probe says that the driver runs.
func (i identity) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}
