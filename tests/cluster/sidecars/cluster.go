// Package sidecars holds the controllers that upstream puts beside a CSI driver, each with upstream's own code: they make
// claims, VolumeAttachments and VolumeSnapshots true by asking the driver.
package sidecars

import (
	"context"
	"fmt"
	"time"

	"github.com/kubernetes-csi/csi-lib-utils/connection"
	"github.com/kubernetes-csi/csi-lib-utils/metrics"
	"github.com/kubernetes-csi/csi-lib-utils/rpc"
	snapshotclient "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned"
	"google.golang.org/grpc"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
)

// Retries wait as long as upstream's do by default, because their back-off is what tests of attach faults have to see.
const (
	timeout   = 15 * time.Second
	retry     = time.Second
	retryMost = 5 * time.Minute
	resync    = 10 * time.Minute
	workers   = 10
)

func backOff() workqueue.TypedRateLimiter[string] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[string](retry, retryMost)
}

// Cluster is the API server, as sidecars use it.
type Cluster struct {
	objects   *kubernetes.Clientset
	snapshots *snapshotclient.Clientset
}

// Connect reads the kubeconfig; without one it is the cluster that this pod runs in.
func Connect(kubeconfig string) (Cluster, error) {
	var config *rest.Config
	var err error
	if kubeconfig == "" {
		config, err = rest.InClusterConfig()
	} else {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return Cluster{}, fmt.Errorf("finding the cluster: %w", err)
	}
	config.QPS, config.Burst = 50, 100
	objects, err := kubernetes.NewForConfig(config)
	if err != nil {
		return Cluster{}, fmt.Errorf("making a client: %w", err)
	}
	snapshots, err := snapshotclient.NewForConfig(config)
	if err != nil {
		return Cluster{}, fmt.Errorf("making a client for snapshots: %w", err)
	}
	return Cluster{objects, snapshots}, nil
}

// driver waits for the driver behind a socket and asks its name. A sidecar ends with its driver.
func driver(ctx context.Context, socket string) (*grpc.ClientConn, string, error) {
	connected, err := connection.Connect(ctx, socket, metrics.NewCSIMetricsManager(""),
		connection.OnConnectionLoss(connection.ExitOnConnectionLoss()))
	if err != nil {
		return nil, "", fmt.Errorf("connecting to the driver at %s: %w", socket, err)
	}
	if err := rpc.ProbeForever(ctx, connected, timeout); err != nil {
		return nil, "", fmt.Errorf("waiting for the driver at %s: %w", socket, err)
	}
	name, err := rpc.GetDriverName(ctx, connected)
	if err != nil {
		return nil, "", fmt.Errorf("asking the driver at %s for its name: %w", socket, err)
	}
	return connected, name, nil
}
