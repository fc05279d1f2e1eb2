package webhook_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/files-svc/internal/webhook"
)

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
