package control

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	coordination "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"seatrial.dev/tests/cluster/layout"
)

// What stands for a large cluster: objects that say they are Ready and Running, with nothing behind them.
const (
	ScaleNamespace = "scale"
	scaleLabel     = "seatrial.test/scale"
	scaleWorkers   = 32
	fakesPerSubnet = 250
)

// Scale makes the number of nodes and of pods without anything behind them what is asked for. Pods are `store-N` in the
// namespace `scale`, labelled app=store, spread over the nodes. Nobody renews the nodes' leases: `up` with a long
// --node-grace, or they are NotReady soon.
func Scale(dir string, nodes, pods int) error {
	cluster, err := layout.Load(dir)
	if err != nil {
		return err
	}
	if nodes < 0 || pods < 0 || (pods > 0 && nodes == 0) {
		return fmt.Errorf("--nodes %d --pods %d: pods need at least one node, and neither is negative", nodes, pods)
	}
	config, err := clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig())
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 2000, 2000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := makeScaleNamespace(client); err != nil {
		return err
	}
	hadNodes, hadPods, err := countFakes(client)
	if err != nil {
		return err
	}
	steps := []struct {
		what     string
		from, to int
		do       func(ctx context.Context, client *kubernetes.Clientset, index int) error
	}{
		{"pods removed", pods, hadPods, removeFakePod},
		{"nodes removed", nodes, hadNodes, removeFakeNode},
		{"nodes made", hadNodes, nodes, makeFakeNode},
		{"pods made", hadPods, pods, func(ctx context.Context, client *kubernetes.Clientset, index int) error {
			return makeFakePod(ctx, client, index, nodes)
		}},
	}
	for _, step := range steps {
		if step.from >= step.to {
			continue
		}
		err := forEach(step.from, step.to, func(index int) error { return step.do(context.Background(), client, index) })
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		fmt.Printf("[%4.1f s] %d %s\n", time.Since(began).Seconds(), step.to-step.from, step.what)
	}
	return nil
}

func makeScaleNamespace(client *kubernetes.Clientset) error {
	_, err := client.CoreV1().Namespaces().Create(context.Background(),
		&v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ScaleNamespace}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making the namespace %s: %w", ScaleNamespace, err)
	}
	for deadline := time.Now().Add(apiPatience); ; time.Sleep(pollInterval) {
		_, err := client.CoreV1().ServiceAccounts(ScaleNamespace).Get(context.Background(), "default", metav1.GetOptions{})
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func countFakes(client *kubernetes.Clientset) (nodes, pods int, err error) {
	fakes := metav1.ListOptions{LabelSelector: scaleLabel, ResourceVersion: "0"}
	listed, nodesErr := client.CoreV1().Nodes().List(context.Background(), fakes)
	running, podsErr := client.CoreV1().Pods(ScaleNamespace).List(context.Background(), fakes)
	if err := errors.Join(nodesErr, podsErr); err != nil {
		return 0, 0, err
	}
	return len(listed.Items), len(running.Items), nil
}

// forEach does it for each index by several workers and stops at the first error.
func forEach(from, to int, do func(index int) error) error {
	indices := make(chan int)
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	var workers sync.WaitGroup
	for range scaleWorkers {
		workers.Go(func() {
			for index := range indices {
				if err := do(index); err != nil {
					stop(err)
				}
			}
		})
	}
	for index := from; index < to && ctx.Err() == nil; index++ {
		indices <- index
	}
	close(indices)
	workers.Wait()
	return context.Cause(ctx)
}

func fakeNode(index int) string { return fmt.Sprintf("scale-%d", index) }

func fakePod(index int) string { return fmt.Sprintf("store-%d", index) }

func makeFakeNode(ctx context.Context, client *kubernetes.Clientset, index int) error {
	name := fakeNode(index)
	room := v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("64"), v1.ResourceMemory: resource.MustParse("256Gi"), v1.ResourcePods: resource.MustParse("250"),
	}
	node := &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			scaleLabel: "node", v1.LabelHostname: name, v1.LabelOSStable: "linux",
			v1.LabelTopologyZone: fmt.Sprintf("zone-%c", 'a'+index%3), v1.LabelTopologyRegion: "test",
		}},
		// Nothing real is to be scheduled there.
		Spec: v1.NodeSpec{Taints: []v1.Taint{{Key: scaleLabel, Effect: v1.TaintEffectNoSchedule}}},
	}
	if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return err
	}
	now := metav1.Now()
	node.Status = v1.NodeStatus{
		Capacity: room, Allocatable: room,
		Conditions: []v1.NodeCondition{{
			Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "Scale", LastHeartbeatTime: now, LastTransitionTime: now,
		}},
		NodeInfo: v1.NodeSystemInfo{KubeletVersion: "v1.37.2", OperatingSystem: "linux", Architecture: "amd64"},
	}
	if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return err
	}
	_, err := client.CoordinationV1().Leases(v1.NamespaceNodeLease).Create(ctx, &coordination.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: coordination.LeaseSpec{
			HolderIdentity: &name, LeaseDurationSeconds: ptr.To[int32](40), RenewTime: ptr.To(metav1.NewMicroTime(now.Time)),
		},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func makeFakePod(ctx context.Context, client *kubernetes.Clientset, index, nodes int) error {
	pods := client.CoreV1().Pods(ScaleNamespace)
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fakePod(index), Labels: map[string]string{scaleLabel: "pod", "app": "store"}},
		Spec: v1.PodSpec{
			NodeName: fakeNode(index % nodes), AutomountServiceAccountToken: ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			Tolerations:                   []v1.Toleration{{Operator: v1.TolerationOpExists}},
			Containers:                    []v1.Container{{Name: "store", Image: "busybox:1"}},
		},
	}
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return err
	}
	now := metav1.Now()
	address := fmt.Sprintf("10.%d.%d.%d", 200+index/fakesPerSubnet/fakesPerSubnet, index/fakesPerSubnet%fakesPerSubnet, 1+index%fakesPerSubnet)
	pod.Status = v1.PodStatus{
		Phase: v1.PodRunning, PodIP: address, PodIPs: []v1.PodIP{{IP: address}}, StartTime: &now,
		Conditions: []v1.PodCondition{
			{Type: v1.PodScheduled, Status: v1.ConditionTrue, LastTransitionTime: now},
			{Type: v1.ContainersReady, Status: v1.ConditionTrue, LastTransitionTime: now},
			{Type: v1.PodReady, Status: v1.ConditionTrue, LastTransitionTime: now},
		},
		ContainerStatuses: []v1.ContainerStatus{{
			Name: "store", Image: "busybox:1", Ready: true, Started: ptr.To(true), ContainerID: fmt.Sprintf("containerd://%064x", index),
			State: v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: now}},
		}},
	}
	_, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

func removeFakePod(ctx context.Context, client *kubernetes.Clientset, index int) error {
	now := metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}
	return ignoreMissing(client.CoreV1().Pods(ScaleNamespace).Delete(ctx, fakePod(index), now))
}

func removeFakeNode(ctx context.Context, client *kubernetes.Clientset, index int) error {
	return errors.Join(
		ignoreMissing(client.CoordinationV1().Leases(v1.NamespaceNodeLease).Delete(ctx, fakeNode(index), metav1.DeleteOptions{})),
		ignoreMissing(client.CoreV1().Nodes().Delete(ctx, fakeNode(index), metav1.DeleteOptions{})),
	)
}

func ignoreMissing(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
