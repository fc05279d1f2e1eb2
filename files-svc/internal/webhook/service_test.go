package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
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

func TestEvents_AreDeliveredInOrderOncePerEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.happen("ann", 3) // before there was an endpoint
		b.serve(webhook.Endpoint{Name: "all"}, webhook.Endpoint{Name: "deleted", Kinds: []files.EventKind{files.FileDeleted}})
		b.happen("ann", 700)
		time.Sleep(2 * time.Second)
		b.stop()
		got := b.seqs("all")
		if len(got) != 700 || !slices.IsSorted(got) || got[0] != 4 {
			t.Errorf("got %d deliveries from %v", len(got), got[:min(3, len(got))])
		}
		if n := len(b.seqs("deleted")); n != 0 {
			t.Errorf("%d deliveries that were not asked for", n)
		}
		if s := b.standing("all"); s.Pending+s.Behind+s.Parked != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}

func TestEvents_OfOnePersonAreNeverUnderWayTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var mu sync.Mutex
		under, most := map[files.OwnerID]int{}, 0
		b.answer = func(_ context.Context, _ string, m webhook.Message, _ int) webhook.Outcome {
			mu.Lock()
			under[m.Event.Owner]++
			together := 0
			for _, n := range under {
				together += n
				if n > 1 {
					t.Errorf("%d of one person at once", n)
				}
			}
			most = max(most, together)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			under[m.Event.Owner]--
			return webhook.Outcome{Result: webhook.Delivered}
		}
		b.start("a")
		for i := range 10 {
			b.happen(files.OwnerID(fmt.Sprint(i)), 3)
		}
		time.Sleep(time.Minute)
		b.stop()
		if n := len(b.seqs("a")); n != 30 || most != 4 {
			t.Errorf("%d deliveries, %d at once at most", n, most)
		}
	})
}

func TestFailure_IsRetriedEverMoreSlowlyAndThenParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.opts.MaxAttempts, b.opts.Tolerate = 4, 100
		var at []time.Time
		b.answer = func(context.Context, string, webhook.Message, int) webhook.Outcome {
			at = append(at, time.Now())
			return webhook.Outcome{Result: webhook.Refused, Status: 500}
		}
		b.start("a")
		b.happen("ann", 1)
		time.Sleep(time.Hour)
		if len(at) != 4 {
			t.Fatalf("%d attempts", len(at))
		}
		for i, want := range []time.Duration{5 * time.Second, 15 * time.Second, 45 * time.Second} {
			if gap := at[i+1].Sub(at[i]); gap < want/2 || gap > want+time.Second {
				t.Errorf("attempt %d came after %s, want about %s", i+2, gap, want)
			}
		}
		m := webhook.NewManager(b.catalog.Webhooks())
		parked, err := m.Deliveries(t.Context(), "a", true, 9)
		if err != nil || len(parked) != 1 || parked[0].Attempts != 4 || parked[0].Status != 500 {
			t.Fatalf("parked: %+v, %v", parked, err)
		}
		b.mu.Lock()
		b.answer = nil
		b.mu.Unlock()
		if n, err := m.Redeliver(t.Context(), "a", 0); n != 1 || err != nil {
			t.Fatalf("redelivered %d, %v", n, err)
		}
		time.Sleep(time.Second)
		b.stop()
		if s := b.standing("a"); s.Parked+s.Pending != 0 || len(b.seqs("a")) != 5 {
			t.Errorf("after redelivery: %+v, %d attempts", s, len(b.seqs("a")))
		}
	})
}

// An endpoint that hangs or is down costs others nothing, and is not hammered.
func TestEndpoint_ThatIsDownDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		down := true
		b.answer = func(ctx context.Context, endpoint string, _ webhook.Message, _ int) webhook.Outcome {
			b.mu.Lock()
			bad := down
			b.mu.Unlock()
			switch {
			case endpoint == "up" || !bad:
				return webhook.Outcome{Result: webhook.Delivered}
			case endpoint == "hangs":
				select {
				case <-ctx.Done():
				case <-time.After(15 * time.Second):
				}
				return webhook.Outcome{Result: webhook.TimedOut}
			default:
				return webhook.Outcome{Result: webhook.Unreachable}
			}
		}
		b.start("up", "hangs", "down")
		for i := range 50 {
			b.happen(files.OwnerID(fmt.Sprint(i%7)), 2)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if n := len(b.seqs("up")); n != 100 {
			t.Errorf("the one that is up got %d of 100", n)
		}
		time.Sleep(time.Hour)
		if n := len(b.seqs("down")); n > 40 {
			t.Errorf("%d attempts in an hour at one that is down", n)
		}
		b.mu.Lock()
		down = false
		b.mu.Unlock()
		time.Sleep(2 * time.Hour)
		b.stop()
		for _, name := range []string{"hangs", "down"} {
			if s := b.standing(name); s.Pending+s.Behind+s.Parked != 0 {
				t.Errorf("%s, when it was well again: %+v", name, s)
			}
		}
	})
}

func TestQueue_IsBoundedAndTheRestWaitsInTheOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.opts.MaxPending, b.opts.Look = 20, 10*time.Second
		b.answer = failing(webhook.Refused)
		b.start("a")
		b.happen("ann", 100)
		time.Sleep(time.Hour)
		if s := b.standing("a"); s.Pending > 20 || s.Behind < 80 {
			t.Errorf("standing: %+v", s)
		}
		b.mu.Lock()
		b.answer = nil
		b.mu.Unlock()
		time.Sleep(24 * time.Hour)
		b.stop()
		if s := b.standing("a"); s.Pending+s.Behind+s.Parked != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}

func TestGone_StopsUntilResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.answer, b.opts.Look = failing(webhook.Gone), 10*time.Second
		b.serve(webhook.Endpoint{Name: "a", Concurrency: 1})
		b.happen("ann", 30)
		time.Sleep(24 * time.Hour)
		if n := len(b.seqs("a")); n != 1 || b.standing("a").StoppedAt.IsZero() {
			t.Errorf("%d attempts at one that is gone", n)
		}
		b.stop()
		b.mu.Lock()
		b.answer = nil
		b.mu.Unlock()
		b.start("a")
		time.Sleep(time.Hour)
		if n := len(b.seqs("a")); n != 1 {
			t.Errorf("%d attempts after a restart", n)
		}
		if err := webhook.NewManager(b.catalog.Webhooks()).Resume(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		b.stop()
		if s := b.standing("a"); s.Pending+s.Behind != 0 || len(b.seqs("a")) != 31 {
			t.Errorf("after it was resumed: %+v, %d attempts", s, len(b.seqs("a")))
		}
	})
}

// A process that ends between take and answer leaves the delivery to the next.
func TestRestart_LosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.answer = func(ctx context.Context, _ string, _ webhook.Message, n int) webhook.Outcome {
			if n%3 == 0 {
				<-ctx.Done() // the process ends while this is under way
				return webhook.Outcome{Result: webhook.Unreachable}
			}
			return webhook.Outcome{Result: webhook.Delivered}
		}
		for range 20 {
			b.start("a")
			b.happen("ann", 5)
			time.Sleep(time.Second)
			b.stop()
		}
		b.answer = nil
		b.start("a")
		time.Sleep(time.Minute)
		b.stop()
		got := b.seqs("a")
		slices.Sort(got)
		if got = slices.Compact(got); len(got) != 100 {
			t.Errorf("heard of %d events, want 100", len(got))
		}
		if s := b.standing("a"); s.Pending+s.Behind+s.Parked != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}

func TestErasedPerson_IsAnIDAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.opts.Tolerate = 100
		b.answer = func(_ context.Context, _ string, _ webhook.Message, n int) webhook.Outcome {
			return webhook.Outcome{Result: []webhook.Result{webhook.Refused, webhook.Delivered}[min(n-1, 1)]}
		}
		b.start("a")
		core := filestest.New(t, filestest.Stores{Catalog: b.catalog, Blobs: filestest.NewBlobs()}, files.Options{})
		_, err := core.Create(filestest.As(t.Context(), "ann"), "ann", files.NewFile{Name: "secret plans", Size: 0}, nothing{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := core.EraseOwner(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		b.stop()
		told := b.got["a"]
		if len(told) < 3 || told[0].File == nil || told[0].File.Name != "secret plans" {
			t.Fatalf("told %+v", told)
		}
		for _, m := range told[1:] {
			if m.File != nil {
				t.Errorf("after the erasure: %+v", m)
			}
		}
		again := told[slices.IndexFunc(told[1:], func(m webhook.Message) bool { return m.Event.Seq == told[0].Event.Seq })+1]
		if again.ID != told[0].ID {
			t.Errorf("the second attempt has another id: %s, %s", told[0].ID, again.ID)
		}
	})
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

// A clock that was ahead and is set back delays no retry for longer than the longest pause.
func TestClock_SetBackDelaysNothingForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var mu sync.Mutex
		ahead := 100 * time.Hour
		b.opts.Look = 500 * time.Millisecond
		b.opts.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
		b.answer = func(_ context.Context, _ string, _ webhook.Message, n int) webhook.Outcome {
			return webhook.Outcome{Result: []webhook.Result{webhook.Refused, webhook.Delivered}[min(n-1, 1)]}
		}
		b.start("a")
		b.happen("ann", 1)
		time.Sleep(time.Second)
		mu.Lock()
		ahead = 0
		mu.Unlock()
		b.happen("bob", 1)
		time.Sleep(6*time.Hour + time.Minute)
		b.stop()
		if s := b.standing("a"); s.Pending+s.Behind != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}

// Events that were trimmed while the endpoint was away are counted, and the rest arrives.
func TestOutbox_TrimmedWhileAway_IsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		lost := &lostMeter{}
		b.opts.Meter = lost
		b.start("a")
		b.stop()
		b.happen("ann", 5)
		time.Sleep(time.Hour)
		err := b.catalog.Write(t.Context(), func(tx files.Tx) error {
			_, err := tx.TrimEvents(t.Context(), time.Now(), 3)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		b.start("a")
		time.Sleep(time.Second)
		b.stop()
		if got := b.seqs("a"); !slices.Equal(got, []int64{4, 5}) || lost.n != 3 {
			t.Errorf("got %v, lost %d", got, lost.n)
		}
	})
}

func TestRegister_ForgetsWhatIsNotConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start("a", "b")
		b.stop()
		b.start("b")
		b.stop()
		all, err := webhook.NewManager(b.catalog.Webhooks()).Standings(t.Context())
		if err != nil || len(all) != 1 || all[0].Endpoint != "b" {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

type lostMeter struct{ n int64 }

func (m *lostMeter) Attempted(string, webhook.Result, time.Duration)   {}
func (m *lostMeter) Stands(string, webhook.Backlog, int64, bool, bool) {}
func (m *lostMeter) Parked(string)                                     {}
func (m *lostMeter) Lost(_ string, n int64)                            { m.n += n }
