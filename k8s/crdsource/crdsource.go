// Package crdsource is a resource.Source over custom resources of one namespace: `--config crd://NAMESPACE`. It is the only
// package of the product that talks to a Kubernetes API server.
//
//	list and watch, a kind at a time -> what each kind holds now -> the same ledger as for a folder -> Snapshot
//	Report -> conditions -> the one replica that leads -> server-side apply of status
//
// Promises: the objects are judged and defaulted by the same code as files, so equal objects make a snapshot of equal digest
// wherever they come from. An API server that is away, a CRD that is missing or a right that isn't granted takes nothing from
// what is in force, is named on the ops port, and never ends the process. An object is only taken for deleted when its kind
// can still be listed. Spec is never written.
package crdsource

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/resource/board"
	"cloakroom.dev/libs/resource/ledger"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
)

var _ resource.Source = (*Source)(nil)

// Options of a Source. Service and Namespace are needed; the rest has a working zero.
type Options struct {
	// Service names the Lease and the field manager: replicas with the same name share one writer of status.
	Service string

	// Namespace whose objects are read.
	Namespace string

	// Identity tells this replica from others in the Lease. Empty means the host's name and a random part.
	Identity string

	// Kinds limits what is read, and whose status is written. Empty means all.
	Kinds []string

	Log        *slog.Logger
	Registerer prometheus.Registerer

	// Settle is how long the cluster must be quiet before a change is taken. Zero means 100 ms. A change that would take
	// objects away waits ten times as long.
	Settle time.Duration

	// Resync is how often everything is compared again without being asked. Zero means 1 min.
	Resync time.Duration

	// Lease is how long a leader that went away without a word stays leader. Zero means 15 s.
	Lease time.Duration
}

// Source reads the objects of one namespace. It is safe for concurrent use.
type Source struct {
	opts    Options
	log     *slog.Logger
	cluster *cluster
	kinds   []*kind
	peers   *peers
	metrics *metrics
	signs   chan struct{} // something may have changed
	reports chan struct{} // status may have to be written

	mu       sync.Mutex
	admitter *admit.Admitter
	ledger   *ledger.Ledger
	first    *resource.Snapshot // what Load gave out last
	news     chan struct{}      // closed when the snapshot is another one
	running  bool
	readAt   time.Time
	told     string // what log and metrics were told last
	writing  string // why status can't be written; empty when it can
}

// New returns a source over a cluster. It asks the cluster nothing yet.
func New(config *rest.Config, opts Options) (*Source, error) {
	if len(opts.Kinds) == 0 {
		opts.Kinds = v1alpha1.Kinds()
	}
	opts.Settle = cmp.Or(opts.Settle, 100*time.Millisecond)
	opts.Resync = cmp.Or(opts.Resync, time.Minute)
	opts.Lease = cmp.Or(opts.Lease, 15*time.Second)
	if opts.Identity == "" {
		opts.Identity = identity()
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	c, err := connect(config, opts.Namespace)
	if err != nil {
		return nil, err
	}
	s := &Source{
		opts: opts, log: opts.Log.With("namespace", opts.Namespace), cluster: c, metrics: newMetrics(opts.Registerer),
		signs: make(chan struct{}, 1), reports: make(chan struct{}, 1), news: make(chan struct{}), admitter: admit.Apart(opts.Log),
	}
	for _, name := range opts.Kinds {
		s.kinds = append(s.kinds, newKind(c, name, s.sign))
	}
	s.ledger = ledger.New(s.admitter, time.Now)
	s.peers = newPeers(s)
	return s, nil
}

// Load lists every kind once and returns the snapshot of what could be read, which may be empty: see Ready for what could
// not. Once Run has begun it returns the present snapshot.
func (s *Source) Load(ctx context.Context) (*resource.Snapshot, error) {
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if running {
		return s.present(), nil
	}
	var all sync.WaitGroup
	for _, k := range s.kinds {
		all.Go(func() { k.list(ctx) })
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.booted() { // boot kinds are frozen by what a ledger sees first, which must not be a look without them
		s.ledger = ledger.New(s.admitter, time.Now)
	}
	s.apply(ctx, s.look())
	s.first = s.ledger.Snapshot()
	return s.first, nil
}

// booted reports whether the ledger holds an accepted object of every boot kind that is read.
func (s *Source) booted() bool {
	for _, k := range s.kinds {
		if v1alpha1.Boot(k.name) && !holds(s.ledger.Snapshot(), k.name) {
			return false
		}
	}
	return true
}

func holds(s *resource.Snapshot, kind string) bool {
	switch kind {
	case v1alpha1.KindGatewayConfig:
		return len(resource.All[*v1alpha1.GatewayConfig](s)) > 0
	case v1alpha1.KindAuthConfig:
		return len(resource.All[*v1alpha1.AuthConfig](s)) > 0
	default:
		return len(resource.All[*v1alpha1.FilesConfig](s)) > 0
	}
}

func (s *Source) present() *resource.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = s.ledger.Snapshot()
	return s.first
}

// Watch hands on every other snapshot until ctx ends. It sees what Run sees.
func (s *Source) Watch(ctx context.Context, changed func(*resource.Snapshot)) error {
	s.mu.Lock()
	last := s.first
	s.mu.Unlock()
	for {
		s.mu.Lock()
		now, news := s.ledger.Snapshot(), s.news
		s.mu.Unlock()
		if now != last {
			last = now
			changed(now)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-news:
		}
	}
}

// Report takes what a service says about objects; the leader writes it to them.
func (s *Source) Report(_ context.Context, statuses []resource.Status) error {
	s.mu.Lock()
	news := s.ledger.Report(statuses)
	s.mu.Unlock()
	if news {
		poke(s.reports)
	}
	return nil
}

// Run follows the cluster until ctx ends, and writes status while it leads. It never fails.
func (s *Source) Run(ctx context.Context) error {
	s.mu.Lock()
	s.running = true
	s.mu.Unlock()
	var all sync.WaitGroup
	for _, k := range s.kinds {
		all.Go(func() { k.follow(ctx) })
	}
	all.Go(func() { s.lead(ctx) })
	all.Go(func() { s.peers.run(ctx) })
	s.take(ctx)
	all.Wait()
	return nil
}

// Ready fails while a kind was never read, with what stands in the way.
func (s *Source) Ready(context.Context) error {
	var all []error
	for _, k := range s.kinds {
		if err := k.unread(); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// Patient says that what is missing may come: people apply objects in any order.
func (s *Source) Patient() bool { return true }

// KeepStatus does nothing: in a cluster, status is on the objects.
func (s *Source) KeepStatus(string) error { return nil }

// ServeHTTP shows the state of every object, for /-/resources on the ops port.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	page := board.Page{
		From: "crd://" + s.opts.Namespace, Snapshot: s.ledger.Snapshot().Digest, ReadAt: s.readAt.UTC(), Trouble: s.trouble(),
		Findings: s.ledger.Strays(), Resources: s.ledger.Records(),
	}
	s.mu.Unlock()
	page.Write(w, r)
}

// trouble is everything that stands between the cluster and us. The caller holds the lock.
func (s *Source) trouble() string {
	var all []string
	for _, k := range s.kinds {
		if err := k.trouble(); err != nil {
			all = append(all, err.Error())
		}
	}
	if s.ledger.Empty() {
		all = append(all, "the namespace holds no resource: keeping the last snapshot")
	}
	if s.writing != "" {
		all = append(all, s.writing)
	}
	return strings.Join(all, "; ")
}

func (s *Source) sign() { poke(s.signs) }

// poke leaves a note that is not there yet.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
