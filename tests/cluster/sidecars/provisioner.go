package sidecars

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	snapshot "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Provision makes and removes the volume of each claim that names this driver, in the driver's own process.
func Provision(ctx context.Context, cluster Cluster, name string, driver csi.ControllerServer) {
	controller.NewProvisionController(ctx, cluster.objects, name, provisioner{cluster, name, driver},
		controller.LeaderElection(false), controller.RateLimiter(backOff())).Run(ctx)
}

type provisioner struct {
	cluster Cluster
	name    string
	driver  csi.ControllerServer
}

func (p provisioner) Provision(ctx context.Context, o controller.ProvisionOptions) (
	*v1.PersistentVolume, controller.ProvisioningState, error,
) {
	claim := o.PVC.Namespace + "/" + o.PVC.Name
	if mode := o.PVC.Spec.VolumeMode; mode != nil && *mode == v1.PersistentVolumeBlock {
		return nil, controller.ProvisioningFinished, fmt.Errorf("claim %s wants a raw block volume: this driver makes ext4 volumes only", claim)
	}
	size := o.PVC.Spec.Resources.Requests[v1.ResourceStorage]
	source, err := p.source(ctx, o.PVC)
	if err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("claim %s: %w", claim, err)
	}
	made, err := p.driver.CreateVolume(ctx, &csi.CreateVolumeRequest{
		Name: o.PVName, CapacityRange: &csi.CapacityRange{RequiredBytes: size.Value()}, VolumeContentSource: source,
	})
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: size},
			PersistentVolumeSource: v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{
				Driver: p.name, VolumeHandle: made.Volume.VolumeId, FSType: "ext4",
			}},
		},
	}, controller.ProvisioningFinished, nil
}

// source is the snapshot that a claim asks for, as external-provisioner finds it. A claim that has to wait for one is
// tried again.
func (p provisioner) source(ctx context.Context, claim *v1.PersistentVolumeClaim) (*csi.VolumeContentSource, error) {
	asked := claim.Spec.DataSource
	if asked == nil {
		return nil, nil
	}
	if asked.Kind != "VolumeSnapshot" || asked.APIGroup == nil || *asked.APIGroup != snapshot.GroupName {
		return nil, fmt.Errorf("a volume begins empty or as a VolumeSnapshot, not as a %s", asked.Kind)
	}
	found, err := p.cluster.snapshots.SnapshotV1().VolumeSnapshots(claim.Namespace).Get(ctx, asked.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading VolumeSnapshot %s: %w", asked.Name, err)
	}
	status := found.Status
	if status == nil || status.ReadyToUse == nil || !*status.ReadyToUse || status.BoundVolumeSnapshotContentName == nil {
		return nil, fmt.Errorf("VolumeSnapshot %s is not ready to use", asked.Name)
	}
	content, err := p.cluster.snapshots.SnapshotV1().VolumeSnapshotContents().Get(ctx, *status.BoundVolumeSnapshotContentName, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the content of VolumeSnapshot %s: %w", asked.Name, err)
	}
	bound := content.Spec.VolumeSnapshotRef
	if content.Spec.Driver != p.name || bound.UID != found.UID || content.Status == nil || content.Status.SnapshotHandle == nil {
		return nil, fmt.Errorf("VolumeSnapshot %s is not bound to a snapshot of %s", asked.Name, p.name)
	}
	size := claim.Spec.Resources.Requests[v1.ResourceStorage]
	if status.RestoreSize != nil && size.Cmp(*status.RestoreSize) < 0 {
		return nil, fmt.Errorf("VolumeSnapshot %s needs %s, the claim asks for %s only", asked.Name, status.RestoreSize, &size)
	}
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: *content.Status.SnapshotHandle},
	}}, nil
}

func (p provisioner) Delete(ctx context.Context, volume *v1.PersistentVolume) error {
	_, err := p.driver.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: volume.Spec.CSI.VolumeHandle})
	return err
}
