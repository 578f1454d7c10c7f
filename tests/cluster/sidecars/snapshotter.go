package sidecars

import (
	"context"
	"fmt"
	"time"

	snapshotscheme "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned/scheme"
	snapshotinformers "github.com/kubernetes-csi/external-snapshotter/client/v8/informers/externalversions"
	common "github.com/kubernetes-csi/external-snapshotter/v8/pkg/common-controller"
	snapshotmetrics "github.com/kubernetes-csi/external-snapshotter/v8/pkg/metrics"
	sidecar "github.com/kubernetes-csi/external-snapshotter/v8/pkg/sidecar-controller"
	"github.com/kubernetes-csi/external-snapshotter/v8/pkg/snapshotter"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/scheme"
)

const (
	// A driver that has to copy takes longer than one that attaches.
	snapshotTimeout = time.Minute
	definitionsPoll = 200 * time.Millisecond
)

// Snapshot makes the VolumeSnapshotContents of a driver true, with external-snapshotter's sidecar.
func Snapshot(ctx context.Context, cluster Cluster, socket string) error {
	connected, name, err := driver(ctx, socket)
	if err != nil {
		return err
	}
	if err := waitForDefinitions(ctx, cluster); err != nil {
		return err
	}
	factory := snapshotinformers.NewSharedInformerFactory(cluster.snapshots, resync)
	controller := sidecar.NewCSISnapshotSideCarController(cluster.snapshots, cluster.objects, name,
		factory.Snapshot().V1().VolumeSnapshotContents(), factory.Snapshot().V1().VolumeSnapshotClasses(),
		snapshotter.NewSnapshotter(connected), nil, snapshotTimeout, resync,
		"snapshot", -1, "groupsnapshot", -1, false, backOff(), false, nil, nil, backOff())
	factory.Start(ctx.Done())
	controller.Run(workers, ctx.Done(), nil)
	return nil
}

// ControlSnapshots binds VolumeSnapshots to their contents, with external-snapshotter's controller. A cluster has one,
// whatever the number of its drivers.
func ControlSnapshots(ctx context.Context, cluster Cluster) error {
	if err := waitForDefinitions(ctx, cluster); err != nil {
		return err
	}
	snapshots := snapshotinformers.NewSharedInformerFactory(cluster.snapshots, resync)
	objects := informers.NewSharedInformerFactory(cluster.objects, resync)
	controller := common.NewCSISnapshotCommonController(cluster.snapshots, cluster.objects,
		snapshots.Snapshot().V1().VolumeSnapshots(), snapshots.Snapshot().V1().VolumeSnapshotContents(),
		snapshots.Snapshot().V1().VolumeSnapshotClasses(), nil, nil, nil,
		objects.Core().V1().PersistentVolumeClaims(), objects.Core().V1().PersistentVolumes(), nil,
		snapshotmetrics.NewMetricsManager(), resync, backOff(), backOff(), backOff(), backOff(), false, true, false)
	snapshots.Start(ctx.Done())
	objects.Start(ctx.Done())
	controller.Run(workers, ctx.Done(), nil)
	return nil
}

// waitForDefinitions waits until the API server knows VolumeSnapshots, whose definitions may just be on their way.
func waitForDefinitions(ctx context.Context, cluster Cluster) error {
	// So that events can name VolumeSnapshots.
	if err := snapshotscheme.AddToScheme(scheme.Scheme); err != nil {
		return err
	}
	for {
		_, err := cluster.snapshots.SnapshotV1().VolumeSnapshotContents().List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the definition of VolumeSnapshots: %w", err)
		case <-time.After(definitionsPoll):
		}
	}
}
