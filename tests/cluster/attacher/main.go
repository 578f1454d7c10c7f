// attacher makes VolumeAttachments true with upstream's external-attacher, as a sidecar does beside a driver. It is a program
// of its own because it and Kubernetes' servers register one feature gate differently, which they refuse to do in one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
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

	"seatrial.dev/tests/cluster/storage"
)

// Retries wait as long as upstream's do by default, because their back-off is what tests of attach faults have to see.
const (
	timeout   = 15 * time.Second
	retry     = time.Second
	retryMost = 5 * time.Minute
	workers   = 10
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the cluster")
	socket := flag.String("socket", "", "the driver's controller")
	flag.Parse()
	if err := run(*kubeconfig, *socket); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(kubeconfig, socket string) error {
	ctx := context.Background()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	driver, err := connection.Connect(ctx, socket, metrics.NewCSIMetricsManager(storage.DriverName),
		connection.OnConnectionLoss(connection.ExitOnConnectionLoss()))
	if err != nil {
		return fmt.Errorf("connecting to the driver at %s: %w", socket, err)
	}
	if err := rpc.ProbeForever(ctx, driver, timeout); err != nil {
		return fmt.Errorf("waiting for the driver at %s: %w", socket, err)
	}
	factory := informers.NewSharedInformerFactory(client, 10*time.Minute)
	attachments := factory.Storage().V1().VolumeAttachments()
	volumes := factory.Core().V1().PersistentVolumes()
	wait := timeout
	handler := controller.NewCSIHandler(client, storage.DriverName, attacher.NewAttacher(driver), attacher.NewVolumeLister(driver, 0),
		volumes.Lister(), factory.Storage().V1().CSINodes().Lister(), attachments.Lister(), &wait,
		false, false, csitranslation.New(), "ext4")
	attach := controller.NewCSIAttachController(klog.Background(), client, storage.DriverName, handler, attachments, volumes,
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](retry, retryMost),
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](retry, retryMost),
		false, time.Minute)
	factory.Start(ctx.Done())
	attach.Run(ctx, workers, nil)
	return nil
}
