package crdsource

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// meanwhile is an API server where something happens before a list is answered.
type meanwhile struct {
	dynamic.ResourceInterface
	happens func()
	answer  *unstructured.UnstructuredList
}

func (m *meanwhile) List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	m.happens()
	return m.answer, nil
}

func named(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": name, "namespace": "n"}}}
}

// Whoever begins to watch lists first, while another part follows already. A list that is answered after that has everything is old: if it
// were kept, no later change of the kind would ever be seen.
func TestKind_ALateListHidesNothing(t *testing.T) {
	server := &meanwhile{answer: &unstructured.UnstructuredList{Items: []unstructured.Unstructured{*named("old")}}}
	k := &kind{name: "Route", cluster: &cluster{namespace: "n"}, objects: server, sign: func() {}, err: errUnread}
	k.store = &store{cache.NewStore(cache.MetaNamespaceKeyFunc), k}
	server.happens = func() {
		if err := k.store.Replace([]any{named("old"), named("new")}, "2"); err != nil {
			t.Fatal(err)
		}
	}
	k.list(t.Context())
	if got := k.present(); len(got) != 2 {
		t.Errorf("%d objects are seen, and the cluster has 2", len(got))
	}
	if err := k.store.Add(named("later")); err != nil {
		t.Fatal(err)
	}
	if got := k.present(); len(got) != 3 {
		t.Errorf("a later object is not seen: %d of 3", len(got))
	}
}
