package apitest

import (
	"context"
	"os"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/api/v1alpha1/crds"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// revision sets the schema revision of a CRD; empty removes it, as releases before there was one.
func revision(o *unstructured.Unstructured, to string) *unstructured.Unstructured {
	o = o.DeepCopy()
	annotations := o.GetAnnotations()
	delete(annotations, "cloakroom.dev/schema-revision")
	if to != "" {
		annotations["cloakroom.dev/schema-revision"] = to
	}
	o.SetAnnotations(annotations)
	return o
}

func TestPolicy_RefusesOlderCRDs(t *testing.T) {
	s := Start(t)
	s.InstallCRDs()
	text, err := os.ReadFile("../policy/crd-downgrade.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range strings.Split(string(text), "\n---\n") {
		o := Object(t, d)
		plural := map[string]string{
			"ValidatingAdmissionPolicy": "validatingadmissionpolicies", "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
		}[o.GetKind()]
		gvr := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: plural}
		s.must(s.Client(Admin).Resource(gvr).Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "test"}))
	}
	raw, err := crds.Read(v1alpha1.KindRoute)
	if err != nil {
		t.Fatal(err)
	}
	crd := Object(t, string(raw))
	var last error
	apply := func(o *unstructured.Unstructured) error {
		_, err := s.Client(Admin).Resource(CRDs).Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "test", Force: true})
		return err
	}
	defer func() {
		if t.Failed() {
			t.Log(last)
		}
	}()
	s.Until("the policy is in force", func(context.Context) bool {
		// Until then the older one is let in, and must not be what the next try is compared with.
		if last = apply(revision(crd, "1")); last != nil {
			return false
		}
		err := apply(revision(crd, "0"))
		last = err
		return err != nil && strings.Contains(err.Error(), "schema revision 0 is older than 1, which is installed")
	})
	if err := apply(revision(crd, "")); err == nil {
		t.Error("CRDs of before there were revisions replaced newer ones")
	}
	if err := apply(revision(crd, "1")); err != nil {
		t.Errorf("the same CRDs again: %v", err)
	}
	if err := apply(revision(crd, "2")); err != nil {
		t.Errorf("newer CRDs: %v", err)
	}
	unserved := revision(crd, "3")
	versions, _, _ := unstructured.NestedSlice(unserved.Object, "spec", "versions")
	versions[0].(map[string]any)["served"] = false
	if err := unstructured.SetNestedSlice(unserved.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	if err := apply(unserved); err == nil || !strings.Contains(err.Error(), "a version that is served would go away") {
		t.Errorf("a version that is no longer served: %v", err)
	}
	if err := s.Client(Admin).Resource(CRDs).Delete(t.Context(), crd.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Errorf("removing the CRD is somebody's right: %v", err)
	}
}
