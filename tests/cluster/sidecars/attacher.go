package sidecars

import (
	"context"
	"time"

	"github.com/kubernetes-csi/external-attacher/v4/pkg/attacher"
	"github.com/kubernetes-csi/external-attacher/v4/pkg/controller"
	"k8s.io/client-go/informers"
	csitranslation "k8s.io/csi-translation-lib"
	"k8s.io/klog/v2"
)

// Attach makes the VolumeAttachments of a driver true, with external-attacher.
func Attach(ctx context.Context, cluster Cluster, socket string) error {
	connected, name, err := driver(ctx, socket)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(cluster.objects, resync)
	attachments := factory.Storage().V1().VolumeAttachments()
	volumes := factory.Core().V1().PersistentVolumes()
	wait := timeout
	handler := controller.NewCSIHandler(cluster.objects, name, attacher.NewAttacher(connected), attacher.NewVolumeLister(connected, 0),
		volumes.Lister(), factory.Storage().V1().CSINodes().Lister(), attachments.Lister(), &wait,
		false, false, csitranslation.New(), "ext4")
	attach := controller.NewCSIAttachController(klog.Background(), cluster.objects, name, handler, attachments, volumes,
		backOff(), backOff(), false, time.Minute)
	factory.Start(ctx.Done())
	attach.Run(ctx, workers, nil)
	return nil
}
