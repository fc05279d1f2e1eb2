package apikey

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"cloakroom.dev/libs/fault"
)

func key() string {
	var raw [66]byte
	_, _ = rand.Read(raw[:])
	return prefix + base64.RawURLEncoding.EncodeToString(raw[:])
}

// asked counts calls and answers as told.
type asked struct {
	n      atomic.Int64
	answer atomic.Pointer[func(key string) (string, time.Duration, error)]
}

func (a *asked) exchange(_ context.Context, key string) (string, time.Duration, error) {
	a.n.Add(1)
	return (*a.answer.Load())(key)
}

func (a *asked) say(fn func(string) (string, time.Duration, error)) { a.answer.Store(&fn) }

func yes(life time.Duration) func(string) (string, time.Duration, error) {
	return func(k string) (string, time.Duration, error) { return "token of " + k, life, nil }
}

func no(kind fault.Kind) func(string) (string, time.Duration, error) {
	return func(string) (string, time.Duration, error) { return "", 0, fault.New(kind, "no") }
}

func TestExchange_RemembersUntilShortlyBeforeTheTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asked
		a.say(yes(time.Minute))
		keys, k := New(a.exchange, Options{}), key()
		for _, c := range []struct {
			after time.Duration
			calls int64
		}{{0, 1}, {49 * time.Second, 1}, {2 * time.Second, 2}, {time.Second, 2}} {
			time.Sleep(c.after)
			if got, err := keys.Exchange(t.Context(), k); err != nil || got != "token of "+k {
				t.Fatalf("%q %v", got, err)
			}
			if n := a.n.Load(); n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
		}
		keys.Forget(k)
		_, _ = keys.Exchange(t.Context(), k)
		if a.n.Load() != 3 {
			t.Error("forgotten and not asked again")
		}
		a.say(yes(margin))
		other := key()
		_, _ = keys.Exchange(t.Context(), other)
		_, _ = keys.Exchange(t.Context(), other)
		if a.n.Load() != 5 {
			t.Error("a token about to end was remembered")
		}
	})
}

func TestExchange_RefusalsAreRememberedForAMomentAndIgnoranceNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asked
		keys, k := New(a.exchange, Options{}), key()
		a.say(no(fault.InvalidToken))
		for range 5 {
			if _, err := keys.Exchange(t.Context(), k); !errors.Is(err, fault.Of(fault.InvalidToken)) {
				t.Fatal(err)
			}
		}
		if a.n.Load() != 1 {
			t.Errorf("%d calls about a refused key", a.n.Load())
		}
		time.Sleep(refusedFor + time.Millisecond)
		a.say(no(fault.Unavailable))
		for range 2 {
			if _, err := keys.Exchange(t.Context(), k); !errors.Is(err, fault.Of(fault.Unavailable)) {
				t.Fatal(err)
			}
		}
		if a.n.Load() != 3 {
			t.Errorf("%d calls: not knowing was remembered", a.n.Load())
		}
	})
}

func TestExchange_OneCallForAllAndItOutlivesTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asked
		a.say(func(k string) (string, time.Duration, error) {
			time.Sleep(time.Second)
			return yes(time.Minute)(k)
		})
		keys, k := New(a.exchange, Options{}), key()
		first, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := keys.Exchange(first, k); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who left got %v", err)
			}
		})
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				if _, err := keys.Exchange(t.Context(), k); err != nil {
					t.Errorf("one who stayed got %v", err)
				}
			})
		}
		synctest.Wait()
		leave()
		wg.Wait()
		if a.n.Load() != 1 {
			t.Errorf("%d calls", a.n.Load())
		}
	})
}

func TestExchange_AFloodOfGuessesIsBoundedAndHarmsNoGoodKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asked
		a.say(yes(time.Hour))
		keys, good := New(a.exchange, Options{MaxEntries: 100}), key()
		if _, err := keys.Exchange(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		a.say(no(fault.InvalidToken))
		for range 1000 {
			_, _ = keys.Exchange(t.Context(), key())
		}
		if n := keys.refusals.len(); n > 100 {
			t.Errorf("%d refusals remembered", n)
		}
		before := a.n.Load()
		if _, err := keys.Exchange(t.Context(), good); err != nil || a.n.Load() != before {
			t.Errorf("the good key was pushed out: %v", err)
		}
		a.say(func(string) (string, time.Duration, error) {
			time.Sleep(time.Second)
			return "", 0, fault.New(fault.InvalidToken, "no")
		})
		var busy atomic.Int64
		var wg sync.WaitGroup
		for range 3 * maxCalls {
			wg.Go(func() {
				if _, err := keys.Exchange(t.Context(), key()); errors.Is(err, fault.Of(fault.Overloaded)) {
					busy.Add(1)
				}
			})
		}
		wg.Wait()
		if busy.Load() != 2*maxCalls {
			t.Errorf("%d were told to come back", busy.Load())
		}
		if counted, failed := testutil.ToFloat64(keys.metrics.busy), testutil.ToFloat64(keys.metrics.failed); counted != 2*maxCalls || failed != 0 {
			t.Errorf("%v are counted as busy and %v as failed, want %d and none", counted, failed, 2*maxCalls)
		}
	})
}

func TestMemory_MakesRoomByWhatHasEnded(t *testing.T) {
	now := time.Now()
	m := newMemory(10)
	for i := range 9 {
		m.put(nameOf(fmt.Sprint("ended", i)), "x", now, now.Add(time.Second))
	}
	m.put(nameOf("lives"), "x", now, now.Add(time.Hour))
	later := now.Add(time.Minute)
	m.put(nameOf("new"), "x", later, later.Add(time.Hour))
	for _, n := range []string{"lives", "new"} {
		if _, ok := m.get(nameOf(n), later); !ok {
			t.Errorf("%s is gone", n)
		}
	}
	for i := range 100 {
		m.put(nameOf(strings.Repeat("x", i)), "x", later, later.Add(time.Hour))
	}
	if m.len() > 10 {
		t.Errorf("%d entries", m.len())
	}
}
