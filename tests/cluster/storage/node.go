package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
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
	identity
	csi.UnimplementedNodeServer
	id string
}

func (n *nodePlugin) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.id}, nil
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
	found, err := examine(device)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "reading %s: %v", device, err)
	}
	if !found.isExt4 {
		if out, err := exec.Command("mkfs.ext4", "-q", "-E", "nodiscard", device).CombinedOutput(); err != nil {
			return nil, status.Errorf(codes.Internal, "formatting %s: %v: %s", device, err, out)
		}
	}
	if found.isExt4 && found.bytes < found.device {
		if err := grow(device); err != nil {
			return nil, err
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

// grow makes the file system as large as its device: a volume may be larger than the snapshot that it began as. It does so
// before it is mounted, because a mounted one needs CAP_SYS_RESOURCE to grow, which not every machine gives to root.
func grow(device string) error {
	for _, command := range [][]string{{"e2fsck", "-f", "-p", device}, {"resize2fs", device}} {
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		var ended *exec.ExitError
		corrected := errors.As(err, &ended) && command[0] == "e2fsck" && ended.ExitCode() == 1 // e2fsck(8)
		if err != nil && !corrected {
			return status.Errorf(codes.Internal, "growing the file system of %s: %s: %v: %s", device, command[0], err, out)
		}
	}
	return nil
}

// content is what a device has.
type content struct {
	isExt4 bool
	bytes  int64 // of the file system
	device int64 // of the device, in whole blocks of the file system
}

// examine reads ext4's superblock, if there is one (the kernel's Documentation/filesystems/ext4/super.rst).
func examine(device string) (content, error) {
	file, err := open(device, os.O_RDONLY)
	if err != nil {
		return content{}, err
	}
	defer file.Close()
	super := make([]byte, 1024)
	if _, err := file.ReadAt(super, 1024); err != nil {
		return content{}, err
	}
	number := func(at int) int64 { return int64(binary.LittleEndian.Uint32(super[at:])) }
	if binary.LittleEndian.Uint16(super[0x38:]) != 0xEF53 {
		return content{}, nil
	}
	block := int64(1024) << number(0x18)
	size, err := file.Seek(0, io.SeekEnd)
	blocks := number(0x4)
	if incompatible := number(0x60); incompatible&0x80 != 0 { // 64bit
		blocks += number(0x150) << 32
	}
	return content{isExt4: true, bytes: blocks * block, device: size / block * block}, err
}
