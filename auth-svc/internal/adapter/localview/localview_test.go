package localview

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/token"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// flaky is a store that can be made to fail.
type flaky struct {
	identity.Store
	broken atomic.Bool
}

var errBroken = fault.New(fault.Unavailable, "broken")

func (f *flaky) View(ctx context.Context, fn func(identity.Tx) error) error {
	if f.broken.Load() {
		return errBroken
	}
	return f.Store.View(ctx, fn)
}

type fixture struct {
	*Store
	under *flaky
	view  *token.View
	reg   *prometheus.Registry
}

func newFixture() *fixture { return newFixtureOf(token.ViewOptions{}) }

func newFixtureOf(opts token.ViewOptions) *fixture {
	reg := prometheus.NewRegistry()
	under := &flaky{Store: identitytest.Memory(time.Now)}
	view := token.NewView(opts)
	return &fixture{New(under, view, slog.New(slog.DiscardHandler), reg), under, view, reg}
}

func revoke(t *testing.T, s identity.Store, session string, outcome error) (seq int64) {
	t.Helper()
	err := s.InTx(t.Context(), func(tx identity.Tx) (err error) {
		seq, err = tx.AppendRevocation(t.Context(), identity.Revocation{
			Kind: identity.KindSession, ID: session, At: tx.Now(), Until: tx.Now().Add(time.Hour),
		})
		return errors.Join(err, outcome)
	})
	if !errors.Is(err, outcome) {
		t.Fatal(err)
	}
	return seq
}

func (f *fixture) refuses(session string) bool {
	return f.view.Check(principal.Principal{UserID: "u", SessionID: session}) != nil
}

func (f *fixture) load(t *testing.T) {
	t.Helper()
	if err := f.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestInTx_OwnRevocationsHoldWhenItReturns(t *testing.T) {
	f := newFixture()
	revoke(t, f, "a", nil)
	if !f.refuses("a") || f.refuses("b") {
		t.Errorf("a refused: %v, b refused: %v", f.refuses("a"), f.refuses("b"))
	}
	revoke(t, f, "b", errors.New("undone"))
	if f.refuses("b") {
		t.Error("a revocation that was rolled back is applied")
	}
}

func TestLoad_BringsWhatOthersCommitted(t *testing.T) {
	f := newFixture()
	if f.Ready(t.Context()) == nil {
		t.Error("ready before the log was read")
	}
	for range 2*pageSize + 1 {
		revoke(t, f.under, "x", nil)
	}
	revoke(t, f.under, "last", nil)
	f.load(t)
	if !f.refuses("x") || !f.refuses("last") || f.Ready(t.Context()) != nil {
		t.Errorf("x %v, last %v, ready %v", f.refuses("x"), f.refuses("last"), f.Ready(t.Context()))
	}
	revoke(t, f.under, "later", nil)
	f.load(t)
	if !f.refuses("later") {
		t.Error("the second reading brought nothing")
	}
}

func TestLoad_AnOlderDatabaseStartsOver(t *testing.T) {
	f := newFixture()
	for _, s := range []string{"a", "b", "c"} {
		revoke(t, f, s, nil)
	}
	f.load(t)
	f.under.Store = identitytest.Memory(time.Now) // put back to a time before b and c
	revoke(t, f.under, "a", nil)
	f.load(t)
	if !f.refuses("a") || f.refuses("b") || f.Ready(t.Context()) != nil {
		t.Errorf("a %v, b %v, ready %v", f.refuses("a"), f.refuses("b"), f.Ready(t.Context()))
	}
}

func TestRun_AStoreThatCanNotBeReadMakesTheViewStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.load(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		time.Sleep(time.Minute)
		if err := f.Ready(t.Context()); err != nil {
			t.Errorf("fresh while the store answers: %v", err)
		}
		f.under.broken.Store(true)
		time.Sleep(7 * time.Second)
		if f.Ready(t.Context()) == nil {
			t.Error("fresh though the store has been silent for 7 s")
		}
		f.under.broken.Store(false)
		time.Sleep(200 * time.Millisecond)
		if err := f.Ready(t.Context()); err != nil {
			t.Errorf("not fresh after the store came back: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// What a view can't hold makes it refuse, but only as long as it must: when the entries have expired it is made anew.
func TestRun_AViewThatWasTooFullIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixtureOf(token.ViewOptions{MaxEntries: 2})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		for _, session := range []string{"a", "b", "c"} {
			revoke(t, f, session, nil) // for an hour
		}
		time.Sleep(30 * time.Minute)
		if f.Ready(ctx) == nil || f.refuses("d") {
			t.Errorf("with one entry too many: ready %v, an unheard-of session refused %v", f.Ready(ctx), f.refuses("d"))
		}
		revoke(t, f, "later", nil)
		time.Sleep(35 * time.Minute)
		if err := f.Ready(ctx); err != nil || !f.refuses("later") {
			t.Errorf("with room again: %v, what is live is refused: %v", err, f.refuses("later"))
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A start that takes longer than a view stays fresh must not end in a second of refusals.
func TestRun_MakesTheViewFreshAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.load(t)
		time.Sleep(time.Minute)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		synctest.Wait()
		if err := f.Ready(ctx); err != nil {
			t.Error(err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAcked_MeasuresOnlyWhatItSawCommit(t *testing.T) {
	f := newFixture()
	seq := revoke(t, f, "a", nil)
	for _, acked := range []int64{seq, seq + 1, seq + remembered, 0, -1, 1 << 62} {
		f.Acked(acked)
	}
	if n := testutil.CollectAndCount(f.acks.spread); n != 1 {
		t.Fatal("no histogram")
	}
	families, _ := f.reg.Gather()
	if got := families[0].GetMetric()[0].GetHistogram().GetSampleCount(); got != 1 {
		t.Errorf("%d observations", got)
	}
}
