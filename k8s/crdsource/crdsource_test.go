package crdsource

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/k8s/apitest"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/api/v1alpha1/crds"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/dir"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func policy(name, quota string) string {
	return fmt.Sprintf("apiVersion: cloakroom.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {name: %s}\nspec: {quota: %s, maxObjectBytes: 1Gi}\n", name, quota)
}

// rig is a source that runs in a namespace of its own.
type rig struct {
	*Source
	t      *testing.T
	server *apitest.Server
	reg    *prometheus.Registry
	seen   chan *resource.Snapshot
	stop   func()
}

var files = []string{v1alpha1.KindFilesConfig, v1alpha1.KindStoragePolicy}

// newRig makes a source in a namespace and starts it as a process would.
func newRig(t *testing.T, server *apitest.Server, namespace, user string) *rig {
	t.Helper()
	r := &rig{t: t, server: server, reg: prometheus.NewRegistry(), seen: make(chan *resource.Snapshot, 64)}
	s, err := New(server.Config(user), Options{
		Service: "files-svc", Namespace: namespace, Kinds: files, Registerer: r.reg,
		Settle: 50 * time.Millisecond, Resync: 300 * time.Millisecond, Lease: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Source = s
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- s.Run(ctx) }()
	go func() { done <- s.Watch(ctx, func(next *resource.Snapshot) { r.seen <- next }) }()
	r.stop = func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		done <- nil
		done <- nil
	}
	t.Cleanup(r.stop)
	return r
}

func (r *rig) page() string {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/-/resources", nil))
	return w.Body.String()
}

func (r *rig) quota(name string) string {
	p, ok := resource.Named[*v1alpha1.StoragePolicy](r.present(), name)
	if !ok {
		return ""
	}
	return string(p.Spec.Quota)
}

func (r *rig) untilPage(says string) {
	r.t.Helper()
	defer func() {
		if r.t.Failed() {
			r.t.Log(r.page())
		}
	}()
	r.server.Until("the page says "+says, func(context.Context) bool { return strings.Contains(r.page(), says) })
}

func (r *rig) untilQuota(name, want string) {
	r.t.Helper()
	r.server.Until(name+" has quota "+want, func(context.Context) bool { return r.quota(name) == want })
}

// condition is `status reason observedGeneration` of an object in the cluster.
func (r *rig) condition(kind, name, condition string) string {
	c, _ := r.full(kind, name, condition)
	return fmt.Sprintf("%s %s %d", c.Status, c.Reason, c.ObservedGeneration)
}

func (r *rig) full(kind, name, condition string) (metav1.Condition, *unstructured.Unstructured) {
	o, err := r.server.Client(apitest.Admin).Resource(apitest.Resource(kind)).Namespace(r.opts.Namespace).Get(r.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return metav1.Condition{}, nil
	}
	for _, c := range conditionsOf(o) {
		if c.Type == condition {
			return c, o
		}
	}
	return metav1.Condition{}, o
}

func (r *rig) untilCondition(kind, name, condition, want string) {
	r.t.Helper()
	defer func() {
		if r.t.Failed() {
			r.t.Logf("%s\n%s", r.condition(kind, name, condition), r.page())
		}
	}()
	r.server.Until(condition+" is "+want, func(context.Context) bool { return r.condition(kind, name, condition) == want })
}

func TestSource(t *testing.T) {
	server := apitest.Start(t)
	t.Run("starts without CRDs, says so, and takes them when they come", func(t *testing.T) { startsWithoutCRDs(t, server.For(t)) })
	t.Run("equal objects make an equal digest", func(t *testing.T) { equalDigest(t, server.For(t)) })
	t.Run("a change is seen, a deletion too, an empty namespace keeps the last", func(t *testing.T) { changes(t, server.For(t)) })
	t.Run("status follows, by one leader, and nothing is written twice", func(t *testing.T) { status(t, server.For(t)) })
	t.Run("status says how many replicas are on a snapshot while they differ", func(t *testing.T) { replicasDiffer(t, server.For(t)) })
	t.Run("an object that was let in under other rules is refused here", func(t *testing.T) { otherRules(t, server.For(t)) })
	t.Run("what the CRDs of a later release fill in is left out, what somebody writes of it is refused", func(t *testing.T) { laterRelease(t, server.For(t)) })
	t.Run("a boot object waits for a restart", func(t *testing.T) { bootWaits(t, server.For(t)) })
	t.Run("without rights it says which", func(t *testing.T) { withoutRights(t, server.For(t)) })
	t.Run("an API server that is away takes nothing away", func(t *testing.T) { serverAway(t, server.For(t)) })
	t.Run("a CRD that is removed takes nothing away", func(t *testing.T) { crdRemoved(t, server.For(t)) })
}

func startsWithoutCRDs(t *testing.T, server *apitest.Server) {
	r := newRig(t, server, server.Namespace("early"), apitest.Admin)
	if err := r.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "CustomResourceDefinition storagepolicies.cloakroom.dev is not installed") {
		t.Errorf("ready: %v", err)
	}
	r.untilPage("CustomResourceDefinition filesconfigs.cloakroom.dev is not installed")
	server.InstallCRDs(v1alpha1.KindRoute) // the group is there now, this kind is not
	r.untilPage("CustomResourceDefinition filesconfigs.cloakroom.dev is not installed, or doesn't serve version v1alpha1")
	otherVersion(t, server, r)
	server.InstallCRDs()
	server.Put("early", policy("default", "10Gi"))
	r.untilQuota("default", "10Gi")
	server.Until("every kind has been read", func(ctx context.Context) bool { return r.Ready(ctx) == nil })
	server.Until("no trouble is told", func(context.Context) bool { return !strings.Contains(r.page(), "trouble") })
}

// otherVersion lets the cluster serve a kind in a version of another release only: the source says both, and goes on.
func otherVersion(t *testing.T, server *apitest.Server, r *rig) {
	t.Helper()
	all := server.Client(apitest.Admin).Resource(apitest.CRDs)
	text, err := crds.Read(v1alpha1.KindStoragePolicy)
	if err != nil {
		t.Fatal(err)
	}
	other := apitest.Object(t, strings.ReplaceAll(string(text), "name: v1alpha1", "name: v1beta7"))
	if err := all.Delete(t.Context(), "routes.cloakroom.dev", metav1.DeleteOptions{}); err != nil { // the only one in our version
		t.Fatal(err)
	}
	if _, err := all.Apply(t.Context(), other.GetName(), other, metav1.ApplyOptions{FieldManager: "test"}); err != nil {
		t.Fatal(err)
	}
	const says = "the cluster serves storagepolicies.cloakroom.dev in version v1beta7, and this program reads v1alpha1"
	r.untilPage(says)
	if err := r.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("ready: %v", err)
	}
	if err := all.Delete(t.Context(), other.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.untilPage("CustomResourceDefinition storagepolicies.cloakroom.dev is not installed")
}

func equalDigest(t *testing.T, server *apitest.Server) {
	r := newRig(t, server, server.Namespace("digest"), apitest.Admin)
	documents := []string{policy("a", "10Gi"), policy("b", "20Gi")}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "all.yaml"), []byte(strings.Join(documents, "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := dir.New(folder, dir.Options{}).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server.Put("digest", documents...)
	server.Until("the digest is that of a folder with the same objects", func(context.Context) bool { return r.present().Digest == want.Digest })
}

func changes(t *testing.T, server *apitest.Server) {
	server.Namespace("changes")
	server.Put("changes", policy("a", "10Gi"), policy("b", "10Gi"))
	r := newRig(t, server, "changes", apitest.Admin)
	if r.quota("a") != "10Gi" {
		t.Error("Load didn't bring what was there")
	}
	server.Put("changes", policy("a", "20Gi"))
	r.untilQuota("a", "20Gi")
	if got := <-r.seen; len(resource.All[*v1alpha1.StoragePolicy](got)) != 2 {
		t.Error("Watch didn't hand on the whole")
	}
	server.Delete("changes", v1alpha1.KindStoragePolicy, "b")
	r.untilQuota("b", "")
	server.Delete("changes", v1alpha1.KindStoragePolicy, "a")
	r.untilPage("the namespace holds no resource: keeping the last snapshot")
	if r.quota("a") != "20Gi" {
		t.Error("an empty namespace emptied the snapshot")
	}
}

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

// otherRules loosens the CRD, as an older or newer release of it would be.
func otherRules(t *testing.T, server *apitest.Server) {
	server.Namespace("rules")
	server.Put("rules", policy("a", "10Gi"))
	r := newRig(t, server, "rules", apitest.Admin)
	crds := server.Client(apitest.Admin).Resource(apitest.CRDs)
	loose := []byte(`[{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/quota/pattern"},
		{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations"}]`)
	if _, err := crds.Patch(t.Context(), "storagepolicies.cloakroom.dev", "application/json-patch+json", loose, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	defer server.InstallCRDs(v1alpha1.KindStoragePolicy)
	server.Until("the loose CRD is in force", func(context.Context) bool {
		_, err := server.Apply("rules", apitest.Object(t, policy("a", "lots")))
		return err == nil
	})
	r.untilCondition("StoragePolicy", "a", "Accepted", "False Invalid 2")
	c, _ := r.full("StoragePolicy", "a", "Accepted")
	if !strings.Contains(c.Message, "serving generation 1") || !strings.Contains(c.Message, `spec.quota: Invalid value: "lots"`) {
		t.Errorf("message %q", c.Message)
	}
	if r.quota("a") != "10Gi" {
		t.Errorf("quota %q is in force", r.quota("a"))
	}
	server.Put("rules", policy("a", "10Gi"))
	r.untilCondition("StoragePolicy", "a", "Accepted", "True Accepted 3") // the generation people see, not our own count
}

// laterRelease has CRDs with fields that this program doesn't know, and defaults for them.
func laterRelease(t *testing.T, server *apitest.Server) {
	server.Namespace("later")
	server.Put("later", policy("a", "10Gi"))
	r := newRig(t, server, "later", apitest.Admin)
	r.untilCondition("StoragePolicy", "a", "Accepted", "True Accepted 1")
	later := []byte(`[{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/later",
		"value": {"type": "object", "default": {}, "properties": {"active": {"type": "boolean", "default": true}}}}]`)
	crds := server.Client(apitest.Admin).Resource(apitest.CRDs)
	if _, err := crds.Patch(t.Context(), "storagepolicies.cloakroom.dev", "application/json-patch+json", later, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	defer server.InstallCRDs(v1alpha1.KindStoragePolicy)
	server.Until("objects have the new default", func(context.Context) bool {
		_, o := r.full("StoragePolicy", "a", "Accepted")
		active, ok, _ := unstructured.NestedBool(o.Object, "spec", "later", "active")
		return ok && active
	})
	server.Put("later", policy("a", "20Gi"))
	r.untilQuota("a", "20Gi")
	r.stop() // the API server may have served its watch as before

	again := newRig(t, server, "later", apitest.Admin)
	if again.quota("a") != "20Gi" {
		t.Errorf("quota %q", again.quota("a"))
	}
	again.untilCondition("StoragePolicy", "a", "Accepted", "True Accepted 2")
	server.Put("later", strings.Replace(policy("a", "30Gi"), "quota:", "later: {active: false}, quota:", 1))
	again.untilCondition("StoragePolicy", "a", "Accepted", "False Invalid 3")
	if c, _ := again.full("StoragePolicy", "a", "Accepted"); !strings.Contains(c.Message, "spec.later: unknown field") {
		t.Errorf("message %q", c.Message)
	}
	if again.quota("a") != "20Gi" {
		t.Errorf("quota %q is in force", again.quota("a"))
	}
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
