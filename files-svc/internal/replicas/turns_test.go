package replicas_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/files-svc/internal/webhook"
)

// One process at a time has the turn, and when its session dies another gets it.
func TestTurns_AreOneProcesssUntilItsSessionEnds(t *testing.T) {
	dsn := template.New(t)
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop()
	took := make(chan int, 64)
	for n := range 2 {
		c := join(t, dsn).catalog
		wait.Go(func() {
			_ = c.Take(ctx, "work", func(ctx context.Context) error {
				took <- n
				<-ctx.Done()
				return nil
			})
		})
	}
	first := <-took
	select {
	case n := <-took:
		t.Fatalf("%d took a turn beside %d", n, first)
	case <-time.After(2500 * time.Millisecond):
	}
	exec(t, openDB(t, dsn), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted`)
	select {
	case <-took:
	case <-time.After(time.Minute):
		t.Error("nobody took the turn over")
	}
}

// Both processes reap, and neither does what the other has done: each file is trashed, and told of, once.
func TestReapers_ShareTheWork(t *testing.T) {
	const uploads = 60
	dsn, blobs, clock := template.New(t), filestest.NewBlobs(), filestest.NewClock()
	var both []*files.Service
	var catalog files.Catalog
	for range 2 {
		r := join(t, dsn)
		catalog = r.catalog
		both = append(both, r.serve(t, blobs, files.Options{Now: clock.Now, RestoreHorizon: -1}))
	}
	for n := range uploads {
		owner := files.OwnerID("owner-" + strconv.Itoa(n%7))
		nf := files.NewFile{Name: "f", Size: 1, ExpiresAt: filestest.Noon.Add(time.Hour)}
		if _, err := both[n%2].Create(filestest.As(t.Context(), owner), owner, nf, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(2 * time.Hour)
	var wait sync.WaitGroup
	for _, s := range both {
		wait.Go(func() {
			if err := s.Reap(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	trashed := 0
	err := catalog.Read(t.Context(), func(tx files.ReadTx) error {
		events, err := tx.EventsAfter(t.Context(), 0, 10*uploads)
		for _, e := range events {
			if e.Kind == files.FileTrashed {
				trashed++
			}
		}
		return err
	})
	if err != nil || trashed != uploads {
		t.Errorf("%d files were told to be trashed, %v; want %d", trashed, err, uploads)
	}
}

// counting is a receiver that says how often each message came.
type counting struct {
	mu   sync.Mutex
	came map[string]int
}

func (c *counting) Send(_ context.Context, _ string, m webhook.Message) webhook.Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came[m.ID]++
	return webhook.Outcome{Result: webhook.Delivered, Status: 200}
}

func (c *counting) count() (messages, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.came {
		most = max(most, n)
	}
	return len(c.came), most
}

// Two processes have the same webhook. What happens in either is sent once.
func TestWebhooks_AreToldByOneReplica(t *testing.T) {
	const uploads = 40
	dsn, blobs := template.New(t), filestest.NewBlobs()
	receiver := &counting{came: map[string]int{}}
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop()
	var both []*files.Service
	for range 2 {
		r := join(t, dsn)
		hooks, err := webhook.New(r.catalog.Webhooks(), receiver, []webhook.Endpoint{{Name: "one"}}, filestest.NewID, slog.New(slog.DiscardHandler),
			webhook.Options{Look: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if err := hooks.Register(ctx); err != nil {
			t.Fatal(err)
		}
		wait.Go(func() { _ = r.catalog.Take(ctx, "webhooks", hooks.Run) })
		both = append(both, r.serve(t, blobs, files.Options{}))
	}
	for n := range uploads {
		if err := upload(both[n%2], ann, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(time.Minute)
	for messages, _ := receiver.count(); messages < uploads && time.Now().Before(deadline); messages, _ = receiver.count() {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // for what would come twice
	if messages, most := receiver.count(); messages != uploads || most != 1 {
		t.Errorf("%d messages came, one of them %d times; want %d, once each", messages, most, uploads)
	}
}
