package webhook_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/files-svc/internal/webhook"
)

// receiver is a Sender whose endpoints do what a test says.
type receiver struct {
	mu     sync.Mutex
	got    map[string][]webhook.Message
	answer func(ctx context.Context, endpoint string, m webhook.Message, n int) webhook.Outcome // n counts the endpoint's attempts, from 1
}

func (r *receiver) Send(ctx context.Context, endpoint string, m webhook.Message) webhook.Outcome {
	r.mu.Lock()
	r.got[endpoint] = append(r.got[endpoint], m)
	n := len(r.got[endpoint])
	r.mu.Unlock()
	if r.answer == nil {
		return webhook.Outcome{Result: webhook.Delivered, Status: 200}
	}
	return r.answer(ctx, endpoint, m, n)
}

func (r *receiver) seqs(endpoint string) (out []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.got[endpoint] {
		out = append(out, m.Event.Seq)
	}
	return out
}

// bench is a service over a catalogue in memory. Call it in a synctest bubble.
type bench struct {
	t       *testing.T
	catalog *filestest.Catalog
	*receiver
	opts webhook.Options
	stop func()
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, catalog: filestest.NewCatalog(), receiver: &receiver{got: map[string][]webhook.Message{}}, stop: func() {}}
}

// start starts a process that serves these endpoints.
func (b *bench) start(names ...string) {
	b.t.Helper()
	var endpoints []webhook.Endpoint
	for _, n := range names {
		endpoints = append(endpoints, webhook.Endpoint{Name: n})
	}
	b.serve(endpoints...)
}

func (b *bench) serve(endpoints ...webhook.Endpoint) {
	b.t.Helper()
	s, err := webhook.New(b.catalog.Webhooks(), b.receiver, endpoints, filestest.NewID, slog.New(slog.DiscardHandler), b.opts)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := s.Register(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	}
}

// happen commits events of an owner.
func (b *bench) happen(owner files.OwnerID, n int) {
	b.t.Helper()
	err := b.catalog.Write(b.t.Context(), func(tx files.Tx) error {
		var errs []error
		for range n {
			errs = append(errs, tx.AppendEvent(b.t.Context(), files.Event{Kind: files.FileCreated, Owner: owner, File: "f", At: time.Now()}))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) standing(name string) webhook.Standing {
	b.t.Helper()
	all, err := webhook.NewManager(b.catalog.Webhooks()).Standings(b.t.Context())
	i := slices.IndexFunc(all, func(s webhook.Standing) bool { return s.Endpoint == name })
	if err != nil || i < 0 {
		b.t.Fatalf("no standing of %s: %v", name, err)
	}
	return all[i]
}

func failing(result webhook.Result) func(context.Context, string, webhook.Message, int) webhook.Outcome {
	return func(context.Context, string, webhook.Message, int) webhook.Outcome {
		return webhook.Outcome{Result: result, Status: 500}
	}
}
