package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// nodePlugin mounts, on its node, what the controller has attached.
type nodePlugin struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	name string
}

func (n *nodePlugin) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return pluginInfo(), nil
}

func (n *nodePlugin) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return pluginCapabilities(), nil
}

func (n *nodePlugin) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (n *nodePlugin) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.name}, nil
}

func (n *nodePlugin) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	response := &csi.NodeGetCapabilitiesResponse{}
	for _, kind := range []csi.NodeServiceCapability_RPC_Type{
		csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME,
		csi.NodeServiceCapability_RPC_GET_VOLUME_STATS,
	} {
		response.Capabilities = append(response.Capabilities, &csi.NodeServiceCapability{
			Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{Type: kind}},
		})
	}
	return response, nil
}

func (n *nodePlugin) NodeStageVolume(_ context.Context, request *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	device := request.PublishContext[devicePublic]
	if device == "" {
		return nil, status.Errorf(codes.InvalidArgument, "volume %s comes without a device: it is not attached", request.VolumeId)
	}
	if isMountPoint(request.StagingTargetPath) {
		return &csi.NodeStageVolumeResponse{}, nil
	}
	if err := os.MkdirAll(request.StagingTargetPath, 0o755); err != nil {
		return nil, status.Errorf(codes.Internal, "making the staging folder: %v", err)
	}
	formatted, err := isExt4(device)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "reading %s: %v", device, err)
	}
	if !formatted {
		if out, err := exec.Command("mkfs.ext4", "-q", "-E", "nodiscard", device).CombinedOutput(); err != nil {
			return nil, status.Errorf(codes.Internal, "formatting %s: %v: %s", device, err, out)
		}
	}
	options := strings.Join(request.GetVolumeCapability().GetMount().GetMountFlags(), ",")
	if err := unix.Mount(device, request.StagingTargetPath, "ext4", unix.MS_RELATIME, options); err != nil {
		return nil, status.Errorf(codes.Internal, "mounting %s at %s: %v", device, request.StagingTargetPath, err)
	}
	return &csi.NodeStageVolumeResponse{}, nil
}

func (n *nodePlugin) NodeUnstageVolume(_ context.Context, request *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	return &csi.NodeUnstageVolumeResponse{}, unmount(request.StagingTargetPath)
}

func (n *nodePlugin) NodePublishVolume(_ context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	if isMountPoint(request.TargetPath) {
		return &csi.NodePublishVolumeResponse{}, nil
	}
	if !isMountPoint(request.StagingTargetPath) {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is not mounted at %s", request.VolumeId, request.StagingTargetPath)
	}
	if err := os.MkdirAll(request.TargetPath, 0o755); err != nil {
		return nil, status.Errorf(codes.Internal, "making the pod's folder: %v", err)
	}
	if err := unix.Mount(request.StagingTargetPath, request.TargetPath, "", unix.MS_BIND, ""); err != nil {
		return nil, status.Errorf(codes.Internal, "mounting volume %s into the pod: %v", request.VolumeId, err)
	}
	if request.Readonly {
		if err := unix.Mount("", request.TargetPath, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return nil, status.Errorf(codes.Internal, "making volume %s read-only in the pod: %v", request.VolumeId, err)
		}
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

func (n *nodePlugin) NodeUnpublishVolume(_ context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if err := unmount(request.TargetPath); err != nil {
		return nil, err
	}
	if err := os.Remove(request.TargetPath); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, status.Errorf(codes.Internal, "removing the pod's folder: %v", err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

func (n *nodePlugin) NodeGetVolumeStats(_ context.Context, request *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	var stats unix.Statfs_t
	if err := unix.Statfs(request.VolumePath, &stats); err != nil {
		return nil, status.Errorf(codes.NotFound, "reading the space of %s: %v", request.VolumePath, err)
	}
	block := stats.Bsize
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{
			Unit: csi.VolumeUsage_BYTES, Total: int64(stats.Blocks) * block,
			Available: int64(stats.Bavail) * block, Used: int64(stats.Blocks-stats.Bfree) * block,
		},
		{
			Unit: csi.VolumeUsage_INODES, Total: int64(stats.Files),
			Available: int64(stats.Ffree), Used: int64(stats.Files - stats.Ffree),
		},
	}}, nil
}

func unmount(path string) error {
	// Not a mount point, or not there: unmounted already (umount(2)).
	if err := unix.Unmount(path, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return status.Errorf(codes.Internal, "unmounting %s: %v", path, err)
	}
	return nil
}

func isMountPoint(path string) bool {
	var stat unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &stat)
	return err == nil && stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// isExt4 looks for the magic number of ext4's superblock.
func isExt4(device string) (bool, error) {
	file, err := os.Open(device)
	if err != nil {
		return false, err
	}
	defer file.Close()
	magic := make([]byte, 2)
	if _, err := file.ReadAt(magic, 1024+0x38); err != nil {
		return false, err
	}
	return magic[0] == 0x53 && magic[1] == 0xEF, nil
}
