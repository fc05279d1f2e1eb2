package identity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// gateway is a follower that notes what it hears.
type gateway struct {
	mu      sync.Mutex
	applied []int64
	heads   []int64 // of heartbeats
	resets  []int64
	made    []time.Time
	done    chan error
	stop    context.CancelFunc
	ack     bool
	resume  *identity.Resume
	resumed []int64
	stuck   chan struct{} // not nil: hears nothing until it is closed
}

func follow(w *identitytest.World, name string, after int64, g *gateway) *gateway {
	running, stop := context.WithCancel(w.T.Context())
	g.done, g.stop = make(chan error, 1), stop
	go func() {
		g.done <- w.Service.Follow(running, name, after, g.resume, func(e identity.Event) error {
			if g.stuck != nil {
				<-g.stuck
			}
			g.hear(e)
			if !g.ack || e.Kind == identity.EventReset || e.Kind == identity.EventResumed {
				return nil
			}
			seq := e.Seq
			if e.Kind == identity.EventEntries {
				seq = e.Entries[len(e.Entries)-1].Seq
			}
			return w.Service.Ack(running, name, seq)
		})
	}()
	return g
}

func (g *gateway) hear(e identity.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch e.Kind {
	case identity.EventEntries:
		for _, r := range e.Entries {
			g.applied = append(g.applied, r.Seq)
		}
	case identity.EventHeartbeat:
		g.heads, g.made = append(g.heads, e.Seq), append(g.made, e.MadeAt)
	case identity.EventResumed:
		g.resumed = append(g.resumed, e.Seq)
	case identity.EventReset:
		g.resets, g.applied = append(g.resets, e.Seq), nil
	}
}

func (g *gateway) heard() (applied, heads, resets []int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]int64{}, g.applied...), append([]int64{}, g.heads...), append([]int64{}, g.resets...)
}

func (g *gateway) end(t *testing.T) {
	t.Helper()
	g.stop()
	if err := <-g.done; !errors.Is(err, context.Canceled) {
		t.Errorf("Follow ended with %v", err)
	}
}

func logOutOnce(w *identitytest.World) {
	w.T.Helper()
	if err := w.Service.Logout(w.T.Context(), w.Caller(w.MustLogin("ada", identitytest.Password).Tokens)); err != nil {
		w.T.Fatal(err)
	}
}

func TestFollow_BacklogThenHeartbeatThenEntriesAsTheyCommit(t *testing.T) {
	synctestRun(t, func(t *testing.T, w *identitytest.World) {
		w.SignUp("ada")
		logOutOnce(w)
		logOutOnce(w)
		g := follow(w, "gateway-1", 0, &gateway{})
		synctest.Wait()
		applied, heads, _ := g.heard()
		if fmt.Sprint(applied, heads) != "[1 2] [2]" {
			t.Fatalf("after the backlog: %v, heartbeats %v", applied, heads)
		}
		logOutOnce(w)
		time.Sleep(10 * time.Millisecond) // far less than a heartbeat
		if applied, _, _ = g.heard(); fmt.Sprint(applied) != "[1 2 3]" {
			t.Fatalf("a logout took longer than 10 ms to be sent: %v", applied)
		}
		time.Sleep(5 * time.Second)
		_, heads, _ = g.heard()
		if len(heads) != 6 || heads[5] != 3 {
			t.Errorf("heartbeats %v, want one at once and one a second", heads)
		}
		g.end(t)
	})
}

func TestFollow_ResumesWhereItWas(t *testing.T) {
	synctestRun(t, func(t *testing.T, w *identitytest.World) {
		w.SignUp("ada")
		for range 3 {
			logOutOnce(w)
		}
		g := follow(w, "gateway-1", 2, &gateway{})
		synctest.Wait()
		if applied, heads, resets := g.heard(); fmt.Sprint(applied, heads, resets) != "[3] [3] []" {
			t.Errorf("resumed after 2: %v, heartbeats %v, resets %v", applied, heads, resets)
		}
		g.end(t)
	})
}

func TestFollow_LongBacklogComesWholeAndInOrder(t *testing.T) {
	synctestRun(t, func(t *testing.T, w *identitytest.World) {
		const n = 1203
		w.Write(func(ctx context.Context, tx identity.Tx) error {
			for range n {
				if _, err := tx.AppendRevocation(ctx, identity.Revocation{Kind: identity.KindSession, ID: "x", At: tx.Now(), Until: tx.Now().Add(time.Hour)}); err != nil {
					return err
				}
			}
			return nil
		})
		g := follow(w, "g", 0, &gateway{})
		synctest.Wait()
		applied, heads, _ := g.heard()
		if len(applied) != n || fmt.Sprint(heads) != fmt.Sprint([]int64{n}) {
			t.Fatalf("%d entries, heartbeats %v", len(applied), heads)
		}
		for i, seq := range applied {
			if seq != int64(i+1) {
				t.Fatalf("entry %d is number %d", i, seq)
			}
		}
		g.end(t)
	})
}

func TestFollow_ExpiredEntriesAreLeftOutAndTheHeadStillMoves(t *testing.T) {
	synctestRun(t, func(t *testing.T, w *identitytest.World) {
		w.SignUp("ada")
		logOutOnce(w)
		w.Clock.Advance(2 * time.Hour)
		g := follow(w, "g", 0, &gateway{})
		synctest.Wait()
		if applied, heads, _ := g.heard(); fmt.Sprint(applied, heads) != "[] [1]" {
			t.Errorf("sent %v, heartbeats %v", applied, heads)
		}
		g.end(t)
	})
}

func TestFollow_AheadOfARestoredLogIsReset(t *testing.T) {
	synctestRun(t, func(t *testing.T, w *identitytest.World) {
		w.SignUp("ada")
		logOutOnce(w)
		g := follow(w, "g", 99, &gateway{})
		synctest.Wait()
		applied, heads, resets := g.heard()
		if fmt.Sprint(resets, applied, heads) != "[1] [1] [1]" {
			t.Errorf("resets %v, entries %v, heartbeats %v", resets, applied, heads)
		}
		g.end(t)
	})
}

// brokenViews is a store that can't be read while told so.
type brokenViews struct {
	identity.Store
	mu     sync.Mutex
	broken bool
	views  int
}

func (b *brokenViews) set(broken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = broken
}

func (b *brokenViews) viewed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.views
}

func (b *brokenViews) View(ctx context.Context, fn func(identity.Tx) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.views++
	if b.broken {
		return identitytest.Down
	}
	return b.Store.View(ctx, fn)
}

func TestFollow_NoHeartbeatWhileTheStoreCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := identitytest.NewClock()
		store := &brokenViews{Store: identitytest.Memory(clock.Now)}
		var log bytes.Buffer
		w := identitytest.NewWorld(t, store, clock, ordinary, func(o *identity.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		upkeep, end := context.WithCancel(t.Context())
		defer end()
		go func() { _ = w.Service.Run(upkeep) }()
		g := follow(w, "g", 0, &gateway{})
		synctest.Wait()
		store.set(true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for _, sentence := range []string{"revocation log can't be read", "upkeep failed"} {
			if n := strings.Count(log.String(), sentence); n != 1 {
				t.Errorf("%q was told %d times in ten seconds:\n%s", sentence, n, &log)
			}
		}
		if _, heads, _ := g.heard(); len(heads) != 1 {
			t.Errorf("%d heartbeats out of a store that can't be read", len(heads))
		}
		store.set(false)
		time.Sleep(200 * time.Millisecond)
		_, heads, _ := g.heard()
		if len(heads) < 2 {
			t.Error("no heartbeat 200 ms after the store came back")
		}
		if since := time.Since(g.made[len(g.made)-1]); since > 200*time.Millisecond {
			t.Errorf("the newest heartbeat vouches for %v ago", since)
		}
		g.end(t)
	})
}

func TestFollow_SlowFollowerHarmsNobody(t *testing.T) {
	synctestRun(t, func(t *testing.T, w *identitytest.World) {
		w.SignUp("ada")
		slow := follow(w, "slow", 0, &gateway{stuck: make(chan struct{})})
		quick := follow(w, "quick", 0, &gateway{})
		for range 50 {
			logOutOnce(w)
		}
		time.Sleep(10 * time.Millisecond)
		if applied, _, _ := quick.heard(); len(applied) != 50 {
			t.Errorf("the quick one has %d", len(applied))
		}
		close(slow.stuck)
		time.Sleep(10 * time.Millisecond)
		if applied, _, _ := slow.heard(); len(applied) != 50 {
			t.Errorf("the slow one lost some: %d", len(applied))
		}
		slow.end(t)
		quick.end(t)
	})
}

func TestFollow_IsBoundedAndNamesAreChecked(t *testing.T) {
	synctestRun(t, func(t *testing.T, w *identitytest.World) {
		var open []*gateway
		for i := range 3 {
			open = append(open, follow(w, fmt.Sprint("g", i), 0, &gateway{}))
		}
		synctest.Wait()
		none := func(identity.Event) error { return nil }
		wantFault(t, w.Service.Follow(t.Context(), "g4", 0, nil, none), fault.Overloaded)
		wantFields(t, w.Service.Follow(t.Context(), "", 0, nil, none), "follower")
		wantFields(t, w.Service.Follow(t.Context(), "a b", 0, nil, none), "follower")
		wantFields(t, w.Service.Follow(t.Context(), "g", -1, nil, none), "after")
		for _, g := range open {
			g.end(t)
		}
		broken := errors.New("broken pipe")
		if err := w.Service.Follow(t.Context(), "g", 0, nil, func(identity.Event) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("a broken stream ends with %v", err)
		}
	})
}

func TestWaitAcked_WaitsForEveryFollowerThatIsConnected(t *testing.T) {
	synctestRun(t, func(t *testing.T, w *identitytest.World) {
		w.SignUp("ada")
		caller := w.Caller(w.MustLogin("ada", identitytest.Password).Tokens)
		revoke := func() int64 {
			e := w.MustLogin("ada", identitytest.Password)
			return must[int64](t)(w.Service.RevokeSession(t.Context(), caller, e.Tokens.SessionID))
		}
		wait := func(acked, of int, within time.Duration) {
			t.Helper()
			seq, began := revoke(), time.Now()
			got := w.Service.WaitAcked(t.Context(), seq)
			if got.Acked != acked || got.Of != of || time.Since(began) > within {
				t.Errorf("%+v after %v, want %d of %d within %v", got, time.Since(began), acked, of, within)
			}
		}
		wait(0, 0, 0)
		one := follow(w, "one", 0, &gateway{ack: true})
		two := follow(w, "two", 0, &gateway{ack: true})
		synctest.Wait()
		wait(2, 2, 10*time.Millisecond)
		mute := follow(w, "mute", 0, &gateway{})
		synctest.Wait()
		wait(2, 3, 2*time.Second)
		mute.end(t)
		wait(2, 3, 2*time.Second) // it may still let people in by what it knew
		time.Sleep(8 * time.Second)
		wait(2, 2, 10*time.Millisecond)

		wantFault(t, w.Service.Ack(t.Context(), "mute", 1), fault.NotFound)
		wantFields(t, w.Service.Ack(t.Context(), "one", 1_000_000), "seq")
		one.end(t)
		two.end(t)
	})
}

func TestWaitAcked_NewStreamOfANameStartsAnew(t *testing.T) {
	synctestRun(t, func(t *testing.T, w *identitytest.World) {
		w.SignUp("ada")
		logOutOnce(w)
		old := follow(w, "one", 0, &gateway{})
		synctest.Wait()
		if err := w.Service.Ack(t.Context(), "one", 1); err != nil {
			t.Fatal(err)
		}
		fresh := follow(w, "one", 0, &gateway{}) // restarted, with an empty set, while the old stream is still open
		synctest.Wait()
		got := w.Service.WaitAcked(t.Context(), 1)
		if got.Acked != 0 || got.Of != 1 {
			t.Errorf("%+v: what the old one had acknowledged says nothing of the new one", got)
		}
		old.end(t)
		if err := w.Service.Ack(t.Context(), "one", 1); err != nil {
			t.Errorf("the new stream can't acknowledge after the old one has ended: %v", err)
		}
		fresh.end(t)
		resumed := follow(w, "one", 1, &gateway{})
		synctest.Wait()
		if got := w.Service.WaitAcked(t.Context(), 1); got.Acked != 1 {
			t.Errorf("%+v: who resumes after 1 has applied 1", got)
		}
		resumed.end(t)
	})
}

func TestFollow_CountsWhoIsOneTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := &identitytest.Observer{}
		w := newWorldWith(t, ordinary, func(o *identity.Options) { o.MaxFollowers, o.Observer = 1, heard })
		g := follow(w, "g1", 0, &gateway{})
		synctest.Wait()
		if n := heard.Heard("followers refused"); n != 0 {
			t.Errorf("%d refused although there was room", n)
		}
		wantFault(t, w.Service.Follow(t.Context(), "g2", 0, nil, func(identity.Event) error { return nil }), fault.Overloaded)
		if refused, open := heard.Heard("followers refused"), heard.Heard("followers"); refused != 1 || open != 1 {
			t.Errorf("%d refused and %d open, want one each", refused, open)
		}
		g.end(t)
	})
}
