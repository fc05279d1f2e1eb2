package identitytest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// RunRefreshModel plays retries, tabs, crashes between commit and answer, thieves and clocks against the core on this
// store, and against a model of protocol 1 that is small enough to be read and believed. They must agree at each
// step.
func RunRefreshModel(t *testing.T, open func(t *testing.T, now func() time.Time) identity.Store) {
	clock := NewClock()
	w := NewWorld(t, open(t, clock.Now), clock, identity.Policy{}, nil)
	people := 0
	rapid.Check(t, func(rt *rapid.T) {
		people++
		p := identity.Policy{
			ReuseWindow:  time.Duration(rapid.SampledFrom([]int{0, 5, 10, 60}).Draw(rt, "window")) * time.Second,
			AccessTTL:    15 * time.Minute,
			RefreshTTL:   24 * time.Hour,
			AbsoluteLife: time.Duration(rapid.SampledFrom([]int{0, 36}).Draw(rt, "absolute life")) * time.Hour,
		}
		w.Policy.Store(&p)
		e := w.SignUp(fmt.Sprintf("model%d", people))
		m := &model{
			world: w, policy: p, user: e.User.ID, session: e.Tokens.SessionID, alive: true, generation: 1,
			began: clock.Now(), refreshUntil: e.Tokens.RefreshExpiresAt, tokens: map[int]string{},
		}
		m.learn(rt, 1, e.Tokens)
		rt.Repeat(map[string]func(*rapid.T){
			"present": m.present, "time passes": m.pass, "log out": m.logOut, "": m.check,
		})
	})
}

// model is one session as protocol 1 describes it.
type model struct {
	world  *World
	policy identity.Policy
	user   string

	session      string
	alive        bool
	generation   int // of the live token
	began        time.Time
	rotatedAt    time.Time
	refreshUntil time.Time

	tokens     map[int]string // by generation: what was handed out; a lost answer leaves a gap until it is repeated
	lastAccess time.Time      // no access token handed out outlives this
}

func (m *model) now() time.Time { return m.world.Clock.Now() }

// present shows a token of any generation there has been, through a store that may fail on either side of the commit.
func (m *model) present(t *rapid.T) {
	generation := rapid.SampledFrom(sortedKeys(m.tokens)).Draw(t, "generation")
	fate := rapid.SampledFrom([]string{"ok", "ok", "ok", "answer lost", "store down", "contended"}).Draw(t, "fate")
	switch fate {
	case "answer lost":
		m.world.Store.After.Store(Down)
	case "store down":
		m.world.Store.Before.Store(Down)
	case "contended":
		m.world.Store.Before.Store(fault.New(fault.Conflict, "somebody else was first"))
	}
	got, err := m.world.Service.Refresh(t.Context(), secret.NewString(m.tokens[generation]), Laptop)
	m.world.Store.After.Store(nil)
	switch fate {
	case "store down":
		m.expect(t, err, fault.Unavailable)
		return
	case "contended":
		m.expect(t, err, fault.Conflict)
		return
	}
	successor := m.judge(generation)
	switch {
	case fate == "answer lost":
		m.expect(t, err, fault.Unavailable)
	case successor == 0:
		m.expect(t, err, fault.InvalidRefreshToken)
	case err != nil:
		t.Fatalf("a good token of generation %d was refused: %v", generation, err)
	default:
		m.learn(t, successor, got)
	}
}

// judge is the protocol: it says which generation the holder gets, 0 for none, and what becomes of the session.
func (m *model) judge(generation int) (successor int) {
	now := m.now()
	over := !now.Before(m.refreshUntil) ||
		m.policy.AbsoluteLife > 0 && !now.Before(m.began.Add(m.policy.AbsoluteLife))
	switch {
	case !m.alive || over:
		return 0
	case generation == m.generation:
		m.generation++
		m.rotatedAt = now
		m.refreshUntil = now.Add(m.policy.RefreshTTL)
		if end := m.began.Add(m.policy.AbsoluteLife); m.policy.AbsoluteLife > 0 && end.Before(m.refreshUntil) {
			m.refreshUntil = end
		}
		return m.generation
	case generation == m.generation-1 && now.Sub(m.rotatedAt).Abs() < m.policy.ReuseWindow:
		return m.generation
	default:
		m.alive = false
		return 0
	}
}

// learn checks what was handed out: one successor for one token, whoever asks and how often.
func (m *model) learn(t *rapid.T, generation int, got identity.Tokens) {
	text := got.RefreshToken.Reveal()
	if known, ok := m.tokens[generation]; ok && known != text {
		t.Fatalf("generation %d has two tokens", generation)
	}
	m.tokens[generation] = text
	caller := m.world.Caller(got)
	if caller.SessionID != m.session || caller.UserID != m.user || got.SessionID != m.session {
		t.Fatalf("tokens of another session or user were handed out: %+v", caller)
	}
	if !got.RefreshExpiresAt.Equal(m.refreshUntil) {
		t.Fatalf("the refresh token is said to expire at %v, the model says %v", got.RefreshExpiresAt, m.refreshUntil)
	}
	if caller.ExpiresAt.After(got.RefreshExpiresAt) {
		t.Fatalf("the access token outlives the session")
	}
	if caller.ExpiresAt.After(m.lastAccess) {
		m.lastAccess = caller.ExpiresAt
	}
}

func (m *model) expect(t *rapid.T, err error, kind fault.Kind) {
	if !errors.Is(err, fault.Of(kind)) {
		t.Fatalf("got %v, want a fault of kind %d", err, kind)
	}
	var f *fault.Error
	if errors.As(err, &f); kind != fault.InvalidRefreshToken && f.RetryAfter == 0 {
		t.Fatalf("%v does not say when to come back", err)
	}
}

// pass moves the clock: around the window, over it, for days, and back.
func (m *model) pass(t *rapid.T) {
	micros := rapid.OneOf(
		rapid.Int64Range(0, (m.policy.ReuseWindow+time.Second).Microseconds()),
		rapid.SampledFrom([]int64{
			time.Hour.Microseconds(), 20 * time.Hour.Microseconds(), -2 * time.Second.Microseconds(), -time.Hour.Microseconds(),
		}),
	).Draw(t, "microseconds")
	m.world.Clock.Advance(time.Duration(micros) * time.Microsecond)
}

func (m *model) logOut(t *rapid.T) {
	if rapid.IntRange(0, 5).Draw(t, "chance") > 0 {
		t.Skip("most sessions live on")
	}
	live := m.alive && m.now().Before(m.refreshUntil)
	caller := callerOf(m.user, m.session)
	if err := m.world.Service.Logout(t.Context(), caller); (err == nil) != live {
		t.Fatalf("log out of a session that lives (%v): %v", live, err)
	}
	if live {
		m.alive = false
	}
}

// check compares store and model: a session that was ended has no row, and an entry in the log that outlives every
// access token ever handed out.
func (m *model) check(t *rapid.T) {
	err := m.world.Store.Store.View(t.Context(), func(tx identity.Tx) error {
		s, err := tx.Session(context.Background(), m.session)
		if err == nil && int(s.Generation) != m.generation {
			t.Fatalf("the live generation is %d, the model says %d", s.Generation, m.generation)
		}
		return err
	})
	if (err == nil) != m.alive {
		t.Fatalf("the session lives: %v; the model says %v", err == nil, m.alive)
	}
	if m.alive {
		return
	}
	r, ok := m.world.Revoked(identity.KindSession, m.session)
	expired := !m.now().Before(m.lastAccess)
	if !ok && !expired {
		t.Fatalf("a session ended without an entry in the log")
	}
	if ok && !r.Until.After(m.lastAccess) {
		t.Fatalf("the log forgets the session at %v, an access token lives until %v", r.Until, m.lastAccess)
	}
}
