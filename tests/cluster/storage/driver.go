// Package storage is a CSI driver for block volumes on one machine.
//
// A volume is a sparse file. Attaching it gives it a loop device, detaching takes the device away, and both happen only
// when Kubernetes asks by a VolumeAttachment. A node formats the device as ext4 and mounts it. So each volume is a block
// device with a file system of its own: it can be frozen, throttled, filled and measured alone. A snapshot is a copy of
// the file.
//
// Loop devices belong to the kernel, so a volume reaches every node that shares the controller's kernel, whichever
// containers or namespaces these are in, and no other.
package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// DriverName is what StorageClasses and CSINodes call the driver, where it is not told another name.
const DriverName = "block.test.seatrial.dev"

const (
	smallest     = 16 << 20 // ext4 with a journal
	devicePublic = "device" // the key under which an attach tells the node its device
)

// Driver is the controller's side. It is the only process that attaches and detaches.
type Driver struct {
	identity
	csi.UnimplementedControllerServer
	mutex   sync.Mutex
	folder  string
	machine string
}

// NewDriver takes the folder of the volumes, and ends what another process left undone in it.
func NewDriver(name, folder string) (*Driver, error) {
	if err := os.MkdirAll(filepath.Join(folder, snapshots), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the volumes: %w", err)
	}
	machine, err := bootID()
	if err != nil {
		return nil, err
	}
	driver := &Driver{identity: identity{name: name}, folder: folder, machine: machine}
	return driver, errors.Join(driver.thawLeftovers(), driver.removeHalves())
}

// removeHalves removes files that were being written.
func (d *Driver) removeHalves() error {
	var failed error
	for _, pattern := range []string{"*.next", filepath.Join(snapshots, "*.next")} {
		halves, err := filepath.Glob(filepath.Join(d.folder, pattern))
		failed = errors.Join(failed, err)
		for _, half := range halves {
			failed = errors.Join(failed, os.Remove(half))
		}
	}
	return failed
}

// volume is what the driver remembers of one, in a file beside its image.
type volume struct {
	Bytes  int64  `json:"bytes"`
	Node   string `json:"node,omitempty"`
	Device string `json:"device,omitempty"`
	Frozen bool   `json:"frozen,omitempty"` // by a snapshot that is being taken
}

func (d *Driver) image(id string) string       { return filepath.Join(d.folder, id+".img") }
func (d *Driver) description(id string) string { return filepath.Join(d.folder, id+".json") }

func (d *Driver) load(id string) (volume, error) {
	var known volume
	text, err := os.ReadFile(d.description(id))
	if errors.Is(err, fs.ErrNotExist) {
		return known, status.Errorf(codes.NotFound, "there is no volume %s", id)
	}
	if err == nil {
		err = json.Unmarshal(text, &known)
	}
	if err != nil {
		return known, status.Errorf(codes.Internal, "reading what is known of volume %s: %v", id, err)
	}
	return known, nil
}

func (d *Driver) store(id string, known volume) error {
	if err := write(d.description(id), known); err != nil {
		return status.Errorf(codes.Internal, "writing what is known of volume %s: %v", id, err)
	}
	return nil
}

// write makes or replaces a file at once.
func write(file string, value any) error {
	text, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(file+".next", text, 0o600)
	}
	if err == nil {
		err = os.Rename(file+".next", file)
	}
	return err
}

// CreateVolume makes a sparse file of the size, with what a snapshot holds if one is named.
func (d *Driver) CreateVolume(ctx context.Context, request *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	known, err := d.load(request.Name)
	if status.Code(err) == codes.NotFound {
		known.Bytes = max(request.GetCapacityRange().GetRequiredBytes(), smallest)
		if err = d.fill(ctx, request, &known); err != nil {
			return nil, err
		}
		if err := os.Truncate(d.image(request.Name), known.Bytes); err != nil {
			return nil, status.Errorf(codes.ResourceExhausted, "giving the image %d bytes: %v", known.Bytes, err)
		}
		err = d.store(request.Name, known)
	}
	if err != nil {
		return nil, err
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: request.Name, CapacityBytes: known.Bytes, ContentSource: request.VolumeContentSource,
	}}, nil
}

// fill makes the image, empty or as a snapshot has it.
func (d *Driver) fill(ctx context.Context, request *csi.CreateVolumeRequest, known *volume) error {
	if request.VolumeContentSource == nil {
		if err := os.WriteFile(d.image(request.Name), nil, 0o600); err != nil {
			return status.Errorf(codes.Internal, "making the image: %v", err)
		}
		return nil
	}
	source := request.VolumeContentSource.GetSnapshot()
	if source == nil {
		return status.Error(codes.InvalidArgument, "a volume begins empty or as a snapshot: other sources are unknown")
	}
	taken, err := d.loadSnapshot(source.SnapshotId)
	if err != nil {
		return err
	}
	if limit := request.GetCapacityRange().GetLimitBytes(); limit > 0 && limit < taken.Bytes {
		return status.Errorf(codes.OutOfRange, "snapshot %s has %d bytes, the volume may have only %d", source.SnapshotId, taken.Bytes, limit)
	}
	known.Bytes = max(known.Bytes, taken.Bytes)
	if err := duplicate(ctx, d.snapshotImage(source.SnapshotId), d.image(request.Name)); err != nil {
		return status.Errorf(codes.Internal, "copying snapshot %s: %v", source.SnapshotId, err)
	}
	return nil
}

// DeleteVolume removes a volume that no node holds.
func (d *Driver) DeleteVolume(_ context.Context, request *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if known, err := d.load(request.VolumeId); err == nil && known.Node != "" {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is attached to node %s", request.VolumeId, known.Node)
	}
	for _, file := range []string{d.image(request.VolumeId), d.description(request.VolumeId)} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, status.Errorf(codes.Internal, "removing the volume: %v", err)
		}
	}
	return &csi.DeleteVolumeResponse{}, nil
}

// ControllerPublishVolume attaches: it gives the volume a device, for one node.
func (d *Driver) ControllerPublishVolume(_ context.Context, request *csi.ControllerPublishVolumeRequest) (
	*csi.ControllerPublishVolumeResponse, error,
) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	known, err := d.load(request.VolumeId)
	if err != nil {
		return nil, err
	}
	node, machine, tells := strings.Cut(request.NodeId, atMachine)
	if tells && machine != d.machine {
		return nil, status.Errorf(codes.FailedPrecondition,
			"node %s is on another machine than the driver's controller: its kernel does not have the volumes' devices", node)
	}
	if known.Node != "" && known.Node != node {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is attached to node %s", request.VolumeId, known.Node)
	}
	if known.Device = deviceOf(d.image(request.VolumeId)); known.Device == "" {
		if known.Device, err = attach(d.image(request.VolumeId)); err != nil {
			return nil, status.Errorf(codes.Internal, "attaching volume %s: %v", request.VolumeId, err)
		}
	}
	known.Node = node
	if err := d.store(request.VolumeId, known); err != nil {
		return nil, err
	}
	return &csi.ControllerPublishVolumeResponse{PublishContext: map[string]string{devicePublic: known.Device}}, nil
}

// ControllerUnpublishVolume detaches. A device that is still mounted somewhere stays attached, because a second device
// for the same file would destroy what is on it.
func (d *Driver) ControllerUnpublishVolume(_ context.Context, request *csi.ControllerUnpublishVolumeRequest) (
	*csi.ControllerUnpublishVolumeResponse, error,
) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	known, err := d.load(request.VolumeId)
	if status.Code(err) == codes.NotFound {
		return &csi.ControllerUnpublishVolumeResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	node, _, _ := strings.Cut(request.NodeId, atMachine)
	if known.Node == "" || (node != "" && known.Node != node) {
		return &csi.ControllerUnpublishVolumeResponse{}, nil
	}
	if device := deviceOf(d.image(request.VolumeId)); device != "" {
		if err := detach(device); err != nil {
			return nil, status.Errorf(codes.Internal, "detaching volume %s from node %s: %v", request.VolumeId, known.Node, err)
		}
	}
	return &csi.ControllerUnpublishVolumeResponse{}, d.store(request.VolumeId, volume{Bytes: known.Bytes})
}

// ValidateVolumeCapabilities confirms what a mounted file system can do.
func (d *Driver) ValidateVolumeCapabilities(_ context.Context, request *csi.ValidateVolumeCapabilitiesRequest) (
	*csi.ValidateVolumeCapabilitiesResponse, error,
) {
	if _, err := d.load(request.VolumeId); err != nil {
		return nil, err
	}
	for _, wanted := range request.VolumeCapabilities {
		if wanted.GetMount() == nil {
			return &csi.ValidateVolumeCapabilitiesResponse{Message: "volumes are mounted as ext4, never given as a raw device"}, nil
		}
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeCapabilities: request.VolumeCapabilities,
	}}, nil
}

// ControllerGetCapabilities says that volumes are made, attached before they are used, and copied as snapshots.
func (d *Driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (
	*csi.ControllerGetCapabilitiesResponse, error,
) {
	response := &csi.ControllerGetCapabilitiesResponse{}
	for _, kind := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_PUBLISH_UNPUBLISH_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
	} {
		response.Capabilities = append(response.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: kind}},
		})
	}
	return response, nil
}
