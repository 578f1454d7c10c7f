package storage

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// provisioner makes and removes the volume of each claim, in the process that serves the driver's controller.
type provisioner struct{ driver *Driver }

func (p provisioner) Provision(ctx context.Context, o controller.ProvisionOptions) (
	*v1.PersistentVolume, controller.ProvisioningState, error,
) {
	if mode := o.PVC.Spec.VolumeMode; mode != nil && *mode == v1.PersistentVolumeBlock {
		return nil, controller.ProvisioningFinished, fmt.Errorf("claim %s/%s wants a raw block volume: this driver makes ext4 volumes only",
			o.PVC.Namespace, o.PVC.Name)
	}
	size := o.PVC.Spec.Resources.Requests[v1.ResourceStorage]
	made, err := p.driver.CreateVolume(ctx, &csi.CreateVolumeRequest{
		Name: o.PVName, CapacityRange: &csi.CapacityRange{RequiredBytes: size.Value()},
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
				Driver: DriverName, VolumeHandle: made.Volume.VolumeId, FSType: "ext4",
			}},
		},
	}, controller.ProvisioningFinished, nil
}

func (p provisioner) Delete(ctx context.Context, volume *v1.PersistentVolume) error {
	_, err := p.driver.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: volume.Spec.CSI.VolumeHandle})
	return err
}

func runProvisioner(driver *Driver, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	controller.NewProvisionController(context.Background(), client, DriverName, provisioner{driver},
		controller.LeaderElection(false)).Run(context.Background())
	return nil
}
