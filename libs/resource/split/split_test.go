package split

import (
	"context"
	"slices"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/resourcetest"
)

const (
	boot = "apiVersion: cloakroom.dev/v1alpha1\nkind: FilesConfig\nmetadata: {name: files}\nspec: {}"
	live = "apiVersion: cloakroom.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {name: default}\nspec: {quota: "
)

func TestSource_IsAsOneThatHasBoth(t *testing.T) {
	s := New(
		resourcetest.NewSource(resourcetest.Snapshot(t, boot)),
		resourcetest.NewSource(resourcetest.Snapshot(t, live+"10Gi}")))
	got, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := resourcetest.Snapshot(t, boot, live+"10Gi}"); got.Digest != want.Digest {
		t.Errorf("digest %s, want that of one folder with both: %s", got.Digest, want.Digest)
	}
}

func TestWatch_ChangeOfOneHalfKeepsTheOther(t *testing.T) {
	cluster := resourcetest.NewSource(resourcetest.Snapshot(t, live+"10Gi}"))
	s := New(resourcetest.NewSource(resourcetest.Snapshot(t, boot)), cluster)
	ctx, stop := context.WithCancel(t.Context())
	seen := make(chan *resource.Snapshot, 1)
	done := make(chan error, 1)
	go func() {
		done <- s.Watch(ctx, func(next *resource.Snapshot) {
			select {
			case seen <- next:
			default: // Set is called until one arrives: the others say the same
			}
		})
	}()

	want := resourcetest.Snapshot(t, boot, live+"20Gi}")
	changed := resourcetest.Snapshot(t, live+"20Gi}")
	var got *resource.Snapshot
	for got == nil { // until Watch listens
		cluster.Set(changed)
		select {
		case got = <-seen:
		default:
		}
	}
	if got.Digest != want.Digest {
		t.Errorf("digest %s, want %s", got.Digest, want.Digest)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReport_GoesWhereTheObjectCameFrom(t *testing.T) {
	folder, cluster := resourcetest.NewSource(resourcetest.Snapshot(t, boot)), resourcetest.NewSource(resourcetest.Snapshot(t, live+"10Gi}"))
	s := New(folder, cluster)
	all, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	statuses := []resource.Status{
		resource.Programmed(resource.All[*v1alpha1.FilesConfig](all)[0]),
		resource.Programmed(resource.All[*v1alpha1.StoragePolicy](all)[0]),
	}
	if err := s.Report(t.Context(), statuses); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		where *resourcetest.Source
		kind  string
		name  string
		want  bool
	}{
		{folder, "FilesConfig", "files", true}, {folder, "StoragePolicy", "default", false},
		{cluster, "StoragePolicy", "default", true}, {cluster, "FilesConfig", "files", false},
	} {
		if _, got := c.where.Reported(c.kind, c.name); got != c.want {
			t.Errorf("%s/%s reported: %v, want %v", c.kind, c.name, got, c.want)
		}
	}
}

func TestKinds_PartsThem(t *testing.T) {
	boot, live := Kinds(v1alpha1.Kinds())
	if !slices.Equal(boot, []string{"GatewayConfig", "AuthConfig", "FilesConfig"}) || len(boot)+len(live) != len(v1alpha1.Kinds()) {
		t.Errorf("boot %v, live %v", boot, live)
	}
}
