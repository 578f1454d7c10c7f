package control

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"

	"seatrial.dev/tests/cluster/snapshots"
	"seatrial.dev/tests/cluster/storage"
)

// createSnapshotDefinitions makes VolumeSnapshots known, as whoever installs a CSI driver with snapshots does.
func createSnapshotDefinitions(ctx context.Context, client *kubernetes.Clientset) error {
	definitions, err := snapshots.Definitions()
	if err != nil {
		return err
	}
	for _, definition := range definitions {
		err := client.RESTClient().Post().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").
			Body(definition).SetHeader("Content-Type", "application/json").Do(ctx).Error()
		if err != nil {
			return fmt.Errorf("defining VolumeSnapshots: %w", err)
		}
	}
	return nil
}

// createSnapshotClass makes the default class, as soon as the API server serves its kind.
func createSnapshotClass(ctx context.Context, client *kubernetes.Clientset) error {
	class := fmt.Appendf(nil, `{
		"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
		"metadata": {"name": "block", "annotations": {"snapshot.storage.kubernetes.io/is-default-class": "true"}},
		"driver": %q, "deletionPolicy": "Delete"
	}`, storage.DriverName)
	var err error
	for deadline := time.Now().Add(apiPatience); time.Now().Before(deadline); time.Sleep(pollInterval) {
		err = client.RESTClient().Post().AbsPath("/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses").
			Body(class).SetHeader("Content-Type", "application/json").Do(ctx).Error()
		if !apierrors.IsNotFound(err) { // not served yet
			break
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
	}
	if err != nil {
		return fmt.Errorf("creating the class of snapshots: %w", err)
	}
	return nil
}
