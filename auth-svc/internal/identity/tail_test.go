package identity_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// logOf is a store with a log of its own.
func logOf(t *testing.T, clock *identitytest.Clock, sessions ...string) identity.Store {
	t.Helper()
	store := identitytest.Memory(clock.Now)
	appendTo(t, store, sessions...)
	return store
}

func appendTo(t *testing.T, store identity.Store, sessions ...string) {
	t.Helper()
	for _, id := range sessions {
		err := store.InTx(t.Context(), func(tx identity.Tx) error {
			_, err := tx.AppendRevocation(t.Context(), identity.Revocation{Kind: identity.KindSession, ID: id, At: tx.Now(), Until: tx.Now().Add(time.Hour)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestFollow_ManyStreamsShareOneReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := identitytest.NewClock()
		store := &brokenViews{Store: logOf(t, clock, "a", "b")}
		w := identitytest.NewWorld(t, store, clock, ordinary, func(o *identity.Options) { o.MaxFollowers = 100 })
		all := make([]*gateway, 50)
		for i := range all {
			all[i] = follow(w, fmt.Sprint("g", i), 0, &gateway{})
		}
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		appendTo(t, store.Store, "c")
		before := store.viewed()
		w.Service.LogGrew()
		time.Sleep(10 * time.Millisecond)
		for _, g := range all {
			if applied, _, _ := g.heard(); fmt.Sprint(applied) != "[1 2 3]" {
				t.Fatalf("heard %v", applied)
			}
		}
		if n := store.viewed() - before; n != 1 {
			t.Errorf("%d readings for one entry and fifty streams", n)
		}
		for _, g := range all {
			g.end(t)
		}
	})
}

// A log that was put back while it could not be read, and has grown past where it was, is another one, though no number says so.
func TestFollow_ALogPutBackDuringAnOutageIsReadAnew(t *testing.T) {
	for name, tc := range map[string]struct {
		after func(t *testing.T, clock *identitytest.Clock, same identity.Store) identity.Store
		want  string // entries, heads of resets
	}{
		"it is another one": {func(t *testing.T, clock *identitytest.Clock, _ identity.Store) identity.Store {
			clock.Advance(time.Second)
			return logOf(t, clock, "a", "c", "d", "e")
		}, "[1 2 3 4] [4]"},
		"it is shorter": {func(t *testing.T, clock *identitytest.Clock, _ identity.Store) identity.Store {
			return logOf(t, clock, "a")
		}, "[1] [1]"},
		"it is the same": {func(t *testing.T, _ *identitytest.Clock, same identity.Store) identity.Store {
			appendTo(t, same, "c")
			return same
		}, "[1 2 3] []"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := identitytest.NewClock()
				store := &brokenViews{Store: logOf(t, clock, "a", "b")}
				w := identitytest.NewWorld(t, store, clock, ordinary, nil)
				g := follow(w, "g", 0, &gateway{})
				synctest.Wait()
				time.Sleep(1500 * time.Millisecond)
				store.set(true)
				time.Sleep(3 * time.Second)
				store.mu.Lock()
				store.Store = tc.after(t, clock, store.Store)
				store.mu.Unlock()
				store.set(false)
				time.Sleep(200 * time.Millisecond)
				applied, _, resets := g.heard()
				if got := fmt.Sprint(applied, resets); got != tc.want {
					t.Errorf("entries and resets are %s, want %s", got, tc.want)
				}
				g.end(t)
			})
		})
	}
}

func TestFollow_GoesOnBehindTheEntryThatIsNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		seq  int64
		same bool
		want string // entries, what it was resumed after
	}{
		"the very entry":         {2, true, "[3] [2]"},
		"another of that number": {2, false, "[1 2 3] []"},
		"one that is not there":  {9, true, "[1 2 3] []"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := identitytest.NewClock()
				w := identitytest.NewWorld(t, logOf(t, clock, "a", "b", "c"), clock, ordinary, nil)
				g := follow(w, "g", 0, &gateway{resume: &identity.Resume{Seq: tc.seq, Same: func(r identity.Revocation) bool { return tc.same && r.Seq == tc.seq }}})
				synctest.Wait()
				applied, heads, resets := g.heard()
				if got := fmt.Sprint(applied, g.resumed); got != tc.want || fmt.Sprint(heads, resets) != "[3] []" {
					t.Errorf("entries %s, heartbeats %v, resets %v; want %s", got, heads, resets, tc.want)
				}
				g.end(t)
			})
		})
	}
}

// Whoever follows from far behind, or from the beginning of a long log, is not held up by what others read, nor misled by it.
func TestFollow_ALogThatGrowsWhileItIsReadComesWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := identitytest.NewClock()
		store := logOf(t, clock, make([]string, 1200)...)
		w := identitytest.NewWorld(t, store, clock, ordinary, nil)
		first := follow(w, "first", 0, &gateway{})
		synctest.Wait()
		growing, stop := context.WithCancel(t.Context())
		go func() {
			for growing.Err() == nil {
				appendTo(t, store, "x", "y", "z")
				w.Service.LogGrew()
				time.Sleep(time.Millisecond)
			}
		}()
		time.Sleep(300 * time.Millisecond)
		second := follow(w, "second", 0, &gateway{})
		time.Sleep(300 * time.Millisecond)
		stop()
		time.Sleep(time.Second)
		for _, g := range []*gateway{first, second} {
			applied, _, resets := g.heard()
			for i, seq := range applied {
				if seq != int64(i+1) {
					t.Fatalf("entry %d is number %d", i, seq)
				}
			}
			if len(applied) < 2500 || len(resets) > 0 {
				t.Errorf("%d entries, resets %v", len(applied), resets)
			}
			g.end(t)
		}
	})
}
