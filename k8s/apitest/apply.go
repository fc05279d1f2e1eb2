package apitest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/api/v1alpha1/crds"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// The kinds of other groups that tests apply.
var (
	CRDs       = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	Namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// Client talks to the server as a user, about anything.
func (s *Server) Client(user string) dynamic.Interface {
	s.t.Helper()
	c, err := dynamic.NewForConfig(s.Config(user))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// Namespace makes a namespace and returns its name.
func (s *Server) Namespace(name string) string {
	s.t.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
	s.must(s.Client(Admin).Resource(Namespaces).Create(s.t.Context(), o, metav1.CreateOptions{}))
	return name
}

// InstallCRDs applies those of k8s/crds, or only those of some kinds, and waits until the server serves them.
func (s *Server) InstallCRDs(kinds ...string) {
	s.t.Helper()
	if len(kinds) == 0 {
		kinds = v1alpha1.Kinds()
	}
	c := s.Client(Admin)
	for _, kind := range kinds {
		text, err := crds.Read(kind)
		if err != nil {
			s.t.Fatal(err)
		}
		o := Object(s.t, string(text))
		s.must(c.Resource(CRDs).Apply(s.t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "test", Force: true}))
	}
	for _, kind := range kinds {
		s.Until("the server serves "+kind, func(ctx context.Context) bool {
			_, err := c.Resource(Resource(kind)).List(ctx, metav1.ListOptions{Limit: 1})
			return err == nil
		})
	}
}

// Resource is a kind of ours as paths spell it.
func Resource(kind string) schema.GroupVersionResource {
	return v1alpha1.GroupVersion.WithResource(crds.Plural(kind))
}

// Apply does what `kubectl apply --server-side` does, strictly, and returns what the server made of it.
func (s *Server) Apply(namespace string, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	s.t.Helper()
	raw, err := o.MarshalJSON()
	if err != nil {
		s.t.Fatal(err)
	}
	force := true
	return s.Client(Admin).Resource(Resource(o.GetKind())).Namespace(namespace).Patch(s.t.Context(), o.GetName(), "application/apply-patch+yaml", raw,
		metav1.PatchOptions{FieldManager: "test", Force: &force, FieldValidation: metav1.FieldValidationStrict})
}

// Put applies documents of YAML that must be accepted.
func (s *Server) Put(namespace string, documents ...string) {
	s.t.Helper()
	for _, d := range documents {
		s.must(s.Apply(namespace, Object(s.t, d)))
	}
}

// Delete deletes an object that may be gone already.
func (s *Server) Delete(namespace, kind, name string) {
	s.t.Helper()
	err := s.Client(Admin).Resource(Resource(kind)).Namespace(namespace).Delete(s.t.Context(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
}

// Object reads one document of YAML.
func Object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	var o unstructured.Unstructured
	if err := yaml.UnmarshalStrict([]byte(text), &o.Object); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	raw, err := o.MarshalJSON() // whole numbers as the server's own decoder has them
	if err == nil {
		err = o.UnmarshalJSON(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &o
}

// Documents reads every document of every YAML file of a folder, by file and place.
func Documents(t testing.TB, folder string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", folder, err)
	}
	all := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range strings.Split(string(text), "\n---\n") {
			all[filepath.Base(f)+"#"+string(rune('0'+i))] = d
		}
	}
	return all
}

// Until waits for something to become true; the test fails when it doesn't within a minute.
func (s *Server) Until(what string, holds func(context.Context) bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(s.t.Context()); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("waited for a minute, but not: " + what)
		}
	}
}

func (s *Server) must(_ *unstructured.Unstructured, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
