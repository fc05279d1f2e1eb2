package crdsource

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/k8s/apitest"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/api/v1alpha1/crds"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/dir"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

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
