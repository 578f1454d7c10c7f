package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/kubernetes-csi/csi-lib-utils/connection"
	"github.com/kubernetes-csi/csi-lib-utils/metrics"
	"github.com/kubernetes-csi/csi-lib-utils/rpc"
	"github.com/kubernetes-csi/external-attacher/v4/pkg/attacher"
	"github.com/kubernetes-csi/external-attacher/v4/pkg/controller"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	csitranslation "k8s.io/csi-translation-lib"
	"k8s.io/klog/v2"
)

const (
	attachTimeout   = 15 * time.Second
	attachRetry     = time.Second
	attachRetryMost = 5 * time.Minute
	attachWorkers   = 10
)

// RunAttacher makes VolumeAttachments true with upstream's external-attacher, as a sidecar does beside a driver. Retries
// wait as long as upstream's do by default, because their back-off is what tests of attach faults have to see.
func RunAttacher(kubeconfig, socket string) error {
	ctx := context.Background()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	driver, err := connection.Connect(ctx, socket, metrics.NewCSIMetricsManager(DriverName),
		connection.OnConnectionLoss(connection.ExitOnConnectionLoss()))
	if err != nil {
		return fmt.Errorf("connecting to the driver at %s: %w", socket, err)
	}
	if err := rpc.ProbeForever(ctx, driver, attachTimeout); err != nil {
		return fmt.Errorf("waiting for the driver at %s: %w", socket, err)
	}
	factory := informers.NewSharedInformerFactory(client, 10*time.Minute)
	attachments := factory.Storage().V1().VolumeAttachments()
	volumes := factory.Core().V1().PersistentVolumes()
	timeout := attachTimeout
	handler := controller.NewCSIHandler(client, DriverName, attacher.NewAttacher(driver), attacher.NewVolumeLister(driver, 0),
		volumes.Lister(), factory.Storage().V1().CSINodes().Lister(), attachments.Lister(), &timeout,
		false, false, csitranslation.New(), "ext4")
	attach := controller.NewCSIAttachController(klog.Background(), client, DriverName, handler, attachments, volumes,
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](attachRetry, attachRetryMost),
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](attachRetry, attachRetryMost),
		false, time.Minute)
	factory.Start(ctx.Done())
	attach.Run(ctx, attachWorkers, nil)
	return nil
}
