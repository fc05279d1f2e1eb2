package crdsource

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
)

// backoff bounds how long an API server that is back goes unnoticed. The library's own goes up to a minute.
func backoff() *wait.Backoff {
	return &wait.Backoff{Duration: 500 * time.Millisecond, Cap: 5 * time.Second, Steps: 10, Factor: 1.5, Jitter: 0.5}
}

// store is what list and watch keep up to date. It tells its kind of each change that matters.
type store struct {
	cache.Store
	kind *kind
}

func (s *store) Add(o any) error {
	defer s.kind.sign()
	return s.Store.Add(slim(o))
}

// Update is a sign when somebody changed the spec; our own status is none.
func (s *store) Update(o any) error {
	before, there, err := s.Get(o)
	after := slim(o)
	if err != nil || !there || !sameSpec(before, after) {
		defer s.kind.sign()
	}
	return s.Store.Update(after)
}

func (s *store) Delete(o any) error {
	defer s.kind.sign()
	return s.Store.Delete(o)
}

// Replace brings the whole: from here on nothing is missing.
func (s *store) Replace(list []any, version string) error {
	for i, o := range list {
		list[i] = slim(o)
	}
	defer s.kind.whole()
	return s.Store.Replace(list, version)
}

func sameSpec(before, after any) bool {
	b, is := before.(*unstructured.Unstructured)
	a, also := after.(*unstructured.Unstructured)
	return is && also && b.GetGeneration() == a.GetGeneration() && b.GetUID() == a.GetUID()
}

// slim drops what we never look at and what can be long.
func slim(o any) any {
	if u, ok := o.(*unstructured.Unstructured); ok {
		u.SetAnnotations(nil)
	}
	return o
}
