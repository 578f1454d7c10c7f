package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"seatrial.dev/tests/cluster/layout"
	"seatrial.dev/tests/cluster/process"
	"seatrial.dev/tests/cluster/storage"
)

const (
	apiPatience  = 3 * time.Minute
	nodePatience = 5 * time.Minute
	pollInterval = 100 * time.Millisecond
)

func connect(cluster layout.Cluster) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig())
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 100, 200
	config.Timeout = 10 * time.Second
	config.WarningHandler = rest.NoWarnings{}
	return kubernetes.NewForConfig(config)
}

func waitForAPI(ctx context.Context, cluster layout.Cluster, client *kubernetes.Clientset) error {
	var err error
	for deadline := time.Now().Add(apiPatience); time.Now().Before(deadline); time.Sleep(pollInterval / 2) {
		if _, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").Timeout(time.Second).DoRaw(ctx); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
		for _, name := range []string{"etcd", "apiserver"} {
			if running, ok := process.Read(cluster.Record(name)); ok && !running.Alive() {
				return fmt.Errorf("%s ended at once; its log ends with: %s", name, tail(cluster.Path("log", name+".log")))
			}
		}
	}
	return fmt.Errorf("the API server does not answer after %v: %w", apiPatience, err)
}

// createObjects makes the storage class and the DNS service, as an installer of a cluster does.
func createObjects(ctx context.Context, cluster layout.Cluster, client *kubernetes.Clientset) error {
	_, driver := client.StorageV1().CSIDrivers().Create(ctx, &storagev1.CSIDriver{
		ObjectMeta: metav1.ObjectMeta{Name: storage.DriverName},
		Spec: storagev1.CSIDriverSpec{
			AttachRequired: ptr.To(true), PodInfoOnMount: ptr.To(false), FSGroupPolicy: ptr.To(storagev1.FileFSGroupPolicy),
		},
	}, metav1.CreateOptions{})
	_, class := client.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name: "block", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner:       storage.DriverName,
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
		ReclaimPolicy:     ptr.To(v1.PersistentVolumeReclaimDelete),
	}, metav1.CreateOptions{})
	_, service := client.CoreV1().Services("kube-system").Create(ctx, &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-dns"},
		Spec: v1.ServiceSpec{ClusterIP: layout.DNSServiceAddress, Ports: []v1.ServicePort{
			{Name: "dns", Port: 53, Protocol: v1.ProtocolUDP}, {Name: "dns-tcp", Port: 53, Protocol: v1.ProtocolTCP},
		}},
	}, metav1.CreateOptions{})
	_, slice := client.DiscoveryV1().EndpointSlices("kube-system").Create(ctx, &discovery.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "kube-dns", Labels: map[string]string{discovery.LabelServiceName: "kube-dns"}},
		AddressType: discovery.AddressTypeIPv4,
		Endpoints:   []discovery.Endpoint{{Addresses: []string{cluster.Gateway()}}},
		Ports: []discovery.EndpointPort{
			{Name: ptr.To("dns"), Port: ptr.To[int32](53), Protocol: ptr.To(v1.ProtocolUDP)},
			{Name: ptr.To("dns-tcp"), Port: ptr.To[int32](53), Protocol: ptr.To(v1.ProtocolTCP)},
		},
	}, metav1.CreateOptions{})
	if err := errors.Join(driver, class, service, slice, createSnapshotDefinitions(ctx, client)); err != nil {
		return fmt.Errorf("creating the cluster's own objects: %w", err)
	}
	return nil
}

// waitForNodes waits until a pod with a volume can run on every node.
func waitForNodes(ctx context.Context, cluster layout.Cluster, client *kubernetes.Clientset, say func(string, ...any)) error {
	missing, told := "", ""
	for deadline := time.Now().Add(nodePatience); time.Now().Before(deadline); time.Sleep(pollInterval) {
		missing = notReady(ctx, cluster, client)
		if missing == "" {
			return nil
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
		if missing != told {
			say("waiting for %s", missing)
			told = missing
		}
	}
	return fmt.Errorf("after %v the cluster still waits for %s", nodePatience, missing)
}

// notReady names what the cluster waits for.
func notReady(ctx context.Context, cluster layout.Cluster, client *kubernetes.Clientset) string {
	for number := 1; number <= cluster.Nodes; number++ {
		name := layout.NodeName(number)
		if running, ok := process.Read(cluster.Record(name)); ok && !running.Alive() {
			return fmt.Sprintf("node %s, which has ended: %s", name, tail(cluster.Path("log", name+".log")))
		}
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return "node " + name + " to register"
		case err != nil:
			return "the API server: " + err.Error()
		case !isReady(node):
			return "node " + name + " to be Ready"
		}
		plugins, err := client.StorageV1().CSINodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil || len(plugins.Spec.Drivers) == 0 {
			return "the storage plugin of node " + name
		}
		if !imagesDone(cluster, number) {
			return "images of node " + name
		}
	}
	if _, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return "the default service account"
	}
	return ""
}

func isReady(node *v1.Node) bool {
	if len(node.Spec.Taints) > 0 {
		return false
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == v1.NodeReady {
			return condition.Status == v1.ConditionTrue
		}
	}
	return false
}

// tail is the end of a log, for an error's text.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
