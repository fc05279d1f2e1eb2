package crdsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/api/v1alpha1/crds"
	"cloakroom.dev/libs/resource/manifest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// maxObjects bounds a kind, as a folder is bounded.
	maxObjects = 1000

	// askTimeout bounds one question to the API server.
	askTimeout = 10 * time.Second

	pageSize = 250
)

var errUnread = errors.New("not read yet")

// kind is one kind's objects as the cluster has them.
type kind struct {
	name    string
	cluster *cluster
	objects dynamic.ResourceInterface
	store   *store
	sign    func()

	mu     sync.Mutex
	listed []*unstructured.Unstructured // what list read, until the store has as much
	stored bool                         // the store has everything
	read   bool                         // at least once
	err    error                        // why it can't be read now
}

func newKind(c *cluster, name string, sign func()) *kind {
	k := &kind{name: name, cluster: c, objects: c.objects(name), sign: sign, err: errUnread}
	k.store = &store{cache.NewStore(cache.MetaNamespaceKeyFunc), k}
	return k
}

// reflector lists and watches. It notes how each question went.
func (k *kind) reflector() *cache.Reflector {
	return cache.NewReflectorWithOptions(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			l, err := k.objects.List(ctx, o)
			k.tell(ctx, err)
			return l, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			w, err := k.objects.Watch(ctx, o)
			k.tell(ctx, err)
			return w, err
		},
	}, &unstructured.Unstructured{}, k.store, cache.ReflectorOptions{Name: k.place(), TypeDescription: k.name, Backoff: backoff()})
}

// place is where people find the objects; it stands where a file's name would.
func (k *kind) place() string {
	return "crd://" + k.cluster.namespace + "/" + crds.Plural(k.name)
}

// tell notes how a question to the API server went.
func (k *kind) tell(ctx context.Context, err error) {
	if err != nil {
		if ctx.Err() != nil {
			return // we are going away, not the cluster
		}
		err = k.cluster.diagnose(ctx, k.name, err)
	}
	k.mu.Lock()
	changed := (err == nil) != (k.err == nil) || err != nil && err.Error() != k.err.Error()
	k.err = err
	k.mu.Unlock()
	if changed {
		k.sign()
	}
}

// list reads everything now.
func (k *kind) list(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var all []*unstructured.Unstructured
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := k.objects.List(asking, options)
		if err != nil {
			k.tell(ctx, err)
			return
		}
		for i := range page.Items {
			all = append(all, &page.Items[i])
		}
		if options.Continue = page.GetContinue(); options.Continue == "" || len(all) > maxObjects {
			break
		}
	}
	k.tell(ctx, nil)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.read = true; !k.stored { // else the store is newer, and what was listed would hide it from now on
		k.listed = all
	}
}

// ask finds out whether the kind can be read at this moment.
func (k *kind) ask(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err := k.objects.List(asking, metav1.ListOptions{Limit: 1})
	k.tell(ctx, err)
}

// follow keeps the objects up to date until ctx ends.
func (k *kind) follow(ctx context.Context) { k.reflector().RunWithContext(ctx) }

// whole notes that the store has everything.
func (k *kind) whole() {
	k.mu.Lock()
	k.read, k.stored, k.listed = true, true, nil
	k.mu.Unlock()
	k.sign()
}

// trouble is why the kind can't be read now, or nil.
func (k *kind) trouble() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// unread is trouble while the kind was never read.
func (k *kind) unread() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.read {
		return nil
	}
	return k.err
}

// documents are the objects, sorted by name, and why there may be others.
func (k *kind) documents() ([]*manifest.Document, error) {
	objects, err := k.present(), k.trouble()
	if len(objects) > maxObjects {
		objects, err = objects[:maxObjects], errors.Join(err, fmt.Errorf("more than %d objects: the rest is not read", maxObjects))
	}
	documents := make([]*manifest.Document, len(objects))
	for i, o := range objects {
		documents[i] = k.document(o)
	}
	return documents, err
}

func (k *kind) present() []*unstructured.Unstructured {
	k.mu.Lock()
	objects := slices.Clone(k.listed)
	k.mu.Unlock()
	if objects == nil {
		for _, o := range k.store.List() {
			if u, ok := o.(*unstructured.Unstructured); ok {
				objects = append(objects, u)
			}
		}
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	return objects
}

// object is the one of this name as the cluster has it, or nil.
func (k *kind) object(name string) *unstructured.Unstructured {
	o, ok, err := k.store.GetByKey(k.cluster.namespace + "/" + name)
	if u, is := o.(*unstructured.Unstructured); ok && err == nil && is {
		return u
	}
	return nil
}

// document is what a person wrote, without what the cluster adds: a file would say the same.
func (k *kind) document(o *unstructured.Unstructured) *manifest.Document {
	raw := map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": k.name, "metadata": map[string]any{"name": o.GetName()},
	}
	if spec, ok := o.Object["spec"]; ok {
		raw["spec"] = spec
	}
	return &manifest.Document{File: k.place(), Kind: k.name, Name: o.GetName(), Raw: raw, Generation: o.GetGeneration(), FilledIn: filledIn(o)}
}
