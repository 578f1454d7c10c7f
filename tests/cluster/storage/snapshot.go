package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	snapshots = "snapshots" // their folder in the volumes' folder
	// How long writers may wait for a copy. A copy that shares blocks takes milliseconds; one that does not, as long as the
	// disk needs for what the volume holds.
	freezeMost = 20 * time.Second
)

// snapshot is what the driver remembers of one, in a file beside its image.
type snapshot struct {
	Volume string    `json:"volume"`
	Bytes  int64     `json:"bytes"`
	Taken  time.Time `json:"taken"`
}

func (d *Driver) snapshotImage(id string) string {
	return filepath.Join(d.folder, snapshots, id+".img")
}

func (d *Driver) snapshotDescription(id string) string {
	return filepath.Join(d.folder, snapshots, id+".json")
}

func (d *Driver) loadSnapshot(id string) (snapshot, error) {
	var known snapshot
	text, err := os.ReadFile(d.snapshotDescription(id))
	if errors.Is(err, fs.ErrNotExist) {
		return known, status.Errorf(codes.NotFound, "there is no snapshot %s", id)
	}
	if err == nil {
		err = json.Unmarshal(text, &known)
	}
	if err != nil {
		return known, status.Errorf(codes.Internal, "reading what is known of snapshot %s: %v", id, err)
	}
	return known, nil
}

func (s snapshot) told(id string) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId: id, SourceVolumeId: s.Volume, SizeBytes: s.Bytes, CreationTime: timestamppb.New(s.Taken), ReadyToUse: true,
	}
}

// CreateSnapshot copies a volume, frozen if a node has it mounted.
func (d *Driver) CreateSnapshot(ctx context.Context, request *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	id := request.Name
	known, err := d.loadSnapshot(id)
	if err == nil && known.Volume != request.SourceVolumeId {
		return nil, status.Errorf(codes.AlreadyExists, "snapshot %s is one of volume %s", id, known.Volume)
	}
	if status.Code(err) == codes.NotFound {
		known, err = d.take(ctx, id, request.SourceVolumeId)
	}
	if err != nil {
		return nil, err
	}
	return &csi.CreateSnapshotResponse{Snapshot: known.told(id)}, nil
}

func (d *Driver) take(ctx context.Context, id, source string) (snapshot, error) {
	from, err := d.load(source)
	if err != nil {
		return snapshot{}, err
	}
	taken := snapshot{Volume: source, Bytes: from.Bytes, Taken: time.Now()}
	copyImage := func() error {
		ctx, cancel := context.WithTimeoutCause(ctx, freezeMost, fmt.Errorf("writers may not wait longer than %v", freezeMost))
		defer cancel()
		return duplicate(ctx, d.image(source), d.snapshotImage(id))
	}
	if device := deviceOf(d.image(source)); device != "" && inUse(device) {
		from.Frozen = true
		if err := d.store(source, from); err != nil {
			return taken, err
		}
		err = whileFrozen(device, copyImage)
		from.Frozen = false
		err = errors.Join(err, d.store(source, from))
	} else {
		err = copyImage()
	}
	if err == nil {
		err = flush(d.snapshotImage(id))
	}
	if err == nil {
		err = write(d.snapshotDescription(id), taken)
	}
	if err != nil {
		// Not final: the sidecar asks again.
		return taken, status.Errorf(codes.Unavailable, "taking snapshot %s of volume %s: %v", id, source, err)
	}
	return taken, nil
}

func flush(file string) error {
	opened, err := os.Open(file)
	if err != nil {
		return err
	}
	defer opened.Close()
	return opened.Sync()
}

// DeleteSnapshot removes a snapshot. Volumes that were made from it have blocks of their own.
func (d *Driver) DeleteSnapshot(_ context.Context, request *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for _, file := range []string{d.snapshotImage(request.SnapshotId), d.snapshotDescription(request.SnapshotId)} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, status.Errorf(codes.Internal, "removing the snapshot: %v", err)
		}
	}
	return &csi.DeleteSnapshotResponse{}, nil
}

// ListSnapshots lists them by name; a token is the place of the next one.
func (d *Driver) ListSnapshots(_ context.Context, request *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	descriptions, err := filepath.Glob(d.snapshotDescription("*"))
	if err != nil {
		return nil, status.Errorf(codes.Internal, "listing snapshots: %v", err)
	}
	slices.Sort(descriptions)
	var found []*csi.ListSnapshotsResponse_Entry
	for _, description := range descriptions {
		id := strings.TrimSuffix(filepath.Base(description), ".json")
		known, err := d.loadSnapshot(id)
		if err != nil {
			return nil, err
		}
		isAsked := (request.SnapshotId == "" || request.SnapshotId == id) &&
			(request.SourceVolumeId == "" || request.SourceVolumeId == known.Volume)
		if isAsked {
			found = append(found, &csi.ListSnapshotsResponse_Entry{Snapshot: known.told(id)})
		}
	}
	first := 0
	if request.StartingToken != "" {
		if first, err = strconv.Atoi(request.StartingToken); err != nil || first < 0 || first > len(found) {
			return nil, status.Errorf(codes.Aborted, "%q is no place in this list", request.StartingToken)
		}
	}
	response := &csi.ListSnapshotsResponse{Entries: found[first:]}
	if most := int(request.MaxEntries); most > 0 && most < len(response.Entries) {
		response.Entries = response.Entries[:most]
		response.NextToken = strconv.Itoa(first + most)
	}
	return response, nil
}
