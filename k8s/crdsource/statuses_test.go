package crdsource

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cloakroom.dev/k8s/apitest"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func status(t *testing.T, server *apitest.Server) {
	server.Namespace("status")
	server.Put("status", policy("a", "10Gi"))
	first := newRig(t, server, "status", apitest.Admin)
	second := newRig(t, server, "status", apitest.Admin)
	report := func(r *rig) {
		p, _ := resource.Named[*v1alpha1.StoragePolicy](r.present(), "a")
		if err := r.Report(t.Context(), []resource.Status{resource.Programmed(p)}); err != nil {
			t.Error(err)
		}
	}
	first.untilCondition("StoragePolicy", "a", "Accepted", "True Accepted 1")
	first.untilCondition("StoragePolicy", "a", "Programmed", "Unknown Pending 1")
	report(first)
	report(second)
	first.untilCondition("StoragePolicy", "a", "Ready", "True Ready 1")

	server.Put("status", policy("a", "20Gi"))
	first.untilQuota("a", "20Gi")
	second.untilQuota("a", "20Gi")
	report(first)
	report(second)
	first.untilCondition("StoragePolicy", "a", "Ready", "True Ready 2")

	since, before := first.full("StoragePolicy", "a", "Ready")
	time.Sleep(5 * first.opts.Resync)
	if leaders := testutil.ToFloat64(first.metrics.leads) + testutil.ToFloat64(second.metrics.leads); leaders != 1 {
		t.Errorf("%v leaders", leaders)
	}
	leader, other := first, second
	if testutil.ToFloat64(second.metrics.leads) == 1 {
		leader, other = second, first
	}
	if got := testutil.ToFloat64(other.metrics.writes.WithLabelValues("written")); got != 0 {
		t.Errorf("who doesn't lead wrote %v statuses", got)
	}
	leader.stop() // gives the Lease back
	server.Until("the other one leads", func(context.Context) bool { return testutil.ToFloat64(other.metrics.leads) == 1 })
	time.Sleep(3 * other.opts.Resync)
	now, after := other.full("StoragePolicy", "a", "Ready")
	if after.GetResourceVersion() != before.GetResourceVersion() || !now.LastTransitionTime.Equal(&since.LastTransitionTime) {
		t.Errorf("a quiet cluster was written to: version %s became %s", before.GetResourceVersion(), after.GetResourceVersion())
	}
	if got := testutil.ToFloat64(other.metrics.writes.WithLabelValues("same")); got == 0 {
		t.Error("the new leader compared nothing")
	}
	for _, f := range after.GetManagedFields() {
		if f.Manager == "cloakroom-files-svc" && (f.Subresource != "status" || f.Operation != metav1.ManagedFieldsOperationApply) {
			t.Errorf("we own %s by %s: %s", f.Subresource, f.Operation, f.FieldsV1)
		}
	}
}

// replicasDiffer has a third replica that stands still on another snapshot: the leader says how many have its own, until the third
// one is gone.
func replicasDiffer(t *testing.T, server *apitest.Server) {
	server.Namespace("differ")
	server.Put("differ", policy("a", "10Gi"))
	first := newRig(t, server, "differ", apitest.Admin)
	second := newRig(t, server, "differ", apitest.Admin)
	p, _ := resource.Named[*v1alpha1.StoragePolicy](first.present(), "a")
	for _, r := range []*rig{first, second} { // whichever leads
		if err := r.Report(t.Context(), []resource.Status{resource.Programmed(p)}); err != nil {
			t.Fatal(err)
		}
	}
	beat := 0
	server.Until("the status says how many are on it", func(ctx context.Context) bool {
		beat++
		if _, err := first.peers.annotate(ctx, map[string]any{peerPrefix + "third": fmt.Sprint("sha256:other ", beat)}); err != nil {
			return false
		}
		time.Sleep(200 * time.Millisecond)
		c, _ := first.full("StoragePolicy", "a", "Programmed")
		return c.Status == metav1.ConditionTrue && c.Reason == v1alpha1.ReasonPartiallyProgrammed &&
			c.Message == "2 of 3 replicas of files-svc on "+first.present().Digest
	})
	first.untilCondition("StoragePolicy", "a", "Programmed", "True Programmed 1")
	server.Until("the third one's annotation is gone", func(ctx context.Context) bool {
		lease, err := first.peers.annotate(ctx, map[string]any{})
		return err == nil && len(lease.Annotations) == 2
	})
}

func bootWaits(t *testing.T, server *apitest.Server) {
	boot := func(delay string) string {
		return "apiVersion: cloakroom.dev/v1alpha1\nkind: FilesConfig\nmetadata: {name: files}\nspec: {drain: {delay: " + delay + "}}\n"
	}
	server.Namespace("boot")
	server.Put("boot", policy("default", "10Gi"))
	s, err := New(server.Config(apitest.Admin), Options{Service: "files-svc", Namespace: "boot", Kinds: files})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context()); err != nil { // a look without the boot object must not freeze its absence
		t.Fatal(err)
	}
	server.Put("boot", boot("1s"))
	snapshot, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resource.One[*v1alpha1.FilesConfig](snapshot); err != nil {
		t.Error(err)
	}
	r := newRig(t, server, "boot", apitest.Admin)
	server.Put("boot", boot("2s"))
	r.untilCondition("FilesConfig", "files", "Programmed", "False RestartRequired 2")
}
