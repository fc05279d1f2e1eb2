package webhook_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/webhook"
)

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
