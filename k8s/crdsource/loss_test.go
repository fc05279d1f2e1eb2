package crdsource

import (
	"context"
	"testing"

	"cloakroom.dev/k8s/apitest"
	"cloakroom.dev/libs/api/v1alpha1"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func withoutRights(t *testing.T, server *apitest.Server) {
	r := newRig(t, server, server.Namespace("rights"), apitest.Nobody)
	r.untilPage("no right to list and watch storagepolicies.cloakroom.dev in namespace rights")
	r.untilPage("no right to get, create and update leases in namespace rights")
	stranger := newRig(t, server, "rights", "stranger")
	stranger.untilPage("the API server doesn't know us")
}

func serverAway(t *testing.T, server *apitest.Server) {
	server.Namespace("away")
	server.Put("away", policy("a", "10Gi"))
	r := newRig(t, server, "away", apitest.Admin)
	r.untilCondition("StoragePolicy", "a", "Accepted", "True Accepted 1")
	server.Pause()
	r.untilPage("the API server doesn't answer for storagepolicies.cloakroom.dev")
	if r.quota("a") != "10Gi" || r.Ready(t.Context()) != nil {
		t.Errorf("quota %q, ready %v", r.quota("a"), r.Ready(t.Context()))
	}
	up := func(want float64) {
		t.Helper()
		server.Until("the metric follows", func(context.Context) bool {
			return testutil.ToFloat64(r.metrics.up.WithLabelValues(v1alpha1.KindStoragePolicy)) == want
		})
	}
	up(0)
	early, err := New(server.Config(apitest.Admin), Options{Service: "files-svc", Namespace: "away", Kinds: files})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := early.Load(t.Context()); err != nil || early.Ready(t.Context()) == nil {
		t.Errorf("a start without the API server: %v, ready %v", err, early.Ready(t.Context()))
	}
	server.Resume()
	server.Put("away", policy("a", "20Gi"))
	r.untilQuota("a", "20Gi")
	up(1)
}

func crdRemoved(t *testing.T, server *apitest.Server) {
	server.Namespace("removed")
	server.Put("removed", policy("a", "10Gi"), policy("b", "10Gi"))
	r := newRig(t, server, "removed", apitest.Admin)
	all := server.Client(apitest.Admin).Resource(apitest.CRDs)
	if err := all.Delete(t.Context(), "storagepolicies.cloakroom.dev", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.untilPage("CustomResourceDefinition storagepolicies.cloakroom.dev is not installed")
	if r.quota("a") != "10Gi" || r.quota("b") != "10Gi" {
		t.Errorf("the objects went with their CRD: %q %q", r.quota("a"), r.quota("b"))
	}
	server.InstallCRDs(v1alpha1.KindStoragePolicy)
	server.Put("removed", policy("a", "20Gi"))
	r.untilQuota("a", "20Gi")
	r.untilQuota("b", "") // the kind is there again, and this object isn't
}
