package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"k8s.io/klog/v2"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// RunController serves the controller's side at the socket and provisions volumes into the folder.
func RunController(folder, socket, kubeconfig string) error {
	driver := &Driver{folder: folder}
	server := grpc.NewServer()
	csi.RegisterIdentityServer(server, driver)
	csi.RegisterControllerServer(server, driver)
	failed := make(chan error, 2)
	go serve(server, socket, failed)
	go func() { failed <- runProvisioner(driver, kubeconfig) }()
	return <-failed
}

// RunNode serves a node's side at the socket and tells kubelet of it through the registration socket.
func RunNode(name, socket, registrationSocket string) error {
	plugin := &nodePlugin{name: name}
	server := grpc.NewServer()
	csi.RegisterIdentityServer(server, plugin)
	csi.RegisterNodeServer(server, plugin)
	registrar := grpc.NewServer()
	registration.RegisterRegistrationServer(registrar, announcement{socket: socket})
	failed := make(chan error, 2)
	go serve(server, socket, failed)
	go serve(registrar, registrationSocket, failed)
	return <-failed
}

func serve(server *grpc.Server, socket string, failed chan<- error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		failed <- fmt.Errorf("removing the old socket: %w", err)
		return
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		failed <- err
		return
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		failed <- fmt.Errorf("listening at %s: %w", socket, err)
		return
	}
	failed <- server.Serve(listener)
}

// announcement answers kubelet's plugin watcher.
type announcement struct {
	registration.UnimplementedRegistrationServer
	socket string
}

func (a announcement) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: DriverName, Endpoint: a.socket, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (a announcement) NotifyRegistrationStatus(_ context.Context, result *registration.RegistrationStatus) (
	*registration.RegistrationStatusResponse, error,
) {
	klog.InfoS("kubelet answered the registration", "registered", result.PluginRegistered, "error", result.Error)
	return &registration.RegistrationStatusResponse{}, nil
}

func pluginInfo() *csi.GetPluginInfoResponse {
	return &csi.GetPluginInfoResponse{Name: DriverName, VendorVersion: "1"}
}

func pluginCapabilities() *csi.GetPluginCapabilitiesResponse {
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{{
		Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{
			Type: csi.PluginCapability_Service_CONTROLLER_SERVICE,
		}},
	}}}
}

// GetPluginInfo names the driver.
func (d *Driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return pluginInfo(), nil
}

// GetPluginCapabilities says that there is a controller.
func (d *Driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return pluginCapabilities(), nil
}

// Probe says that the driver runs.
func (d *Driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}
