package crdsource

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/k8s/apitest"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	"github.com/prometheus/client_golang/prometheus"
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
