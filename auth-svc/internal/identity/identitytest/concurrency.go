package identitytest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
)

// RunConcurrency checks on this store what must hold when many come at once.
func RunConcurrency(t *testing.T, open func(t *testing.T, now func() time.Time) identity.Store) {
	for name, check := range map[string]func(*World){
		"fifty refreshes of one token give one successor":  fiftyRefreshes,
		"twenty sign-ins at a cap of five leave five":      twentySignIns,
		"a refresh that passes a logout mints nothing":     refreshAgainstLogout,
		"two administrators can't block each other":        mutualBlocking,
		"one identifier taken by many at once goes to one": sameIdentifier,
		"first starts at once make one administrator":      firstStarts,
	} {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			check(NewWorld(t, open(t, clock.Now), clock, identity.Policy{ReuseWindow: short, MaxSessions: 5, MaxFailures: 100}, nil))
		})
	}
}

func together(n int, do func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	wg.Wait()
}

func fiftyRefreshes(w *World) {
	token := w.SignUp("ada").Tokens.RefreshToken
	got := make([]string, 50)
	together(len(got), func(i int) {
		next, err := w.Refresh(token)
		if err != nil && !errors.Is(err, fault.Of(fault.Conflict)) {
			w.T.Errorf("refresh %d: %v", i, err)
		}
		if err == nil {
			got[i] = next.RefreshToken.Reveal()
		}
	})
	distinct := map[string]bool{}
	for _, text := range got {
		if text != "" {
			distinct[text] = true
		}
	}
	if len(distinct) != 1 {
		w.T.Errorf("%d successors of one token", len(distinct))
	}
	w.MustRefresh(w.MustRefresh(token).RefreshToken) // and the session lives
}

func twentySignIns(w *World) {
	first := w.SignUp("ada")
	entries := make([]identity.Entry, 20)
	together(len(entries), func(i int) { entries[i] = w.MustLogin("ada", Password) })
	page, err := w.Service.ListSessions(w.T.Context(), callerOf(first.User.ID, lastLive(w, entries)), identity.Cursor{}, 100)
	if err != nil {
		w.T.Fatal(err)
	}
	if len(page.Items) != 5 {
		w.T.Errorf("%d sessions live, want 5", len(page.Items))
	}
	live := map[string]bool{}
	for _, s := range page.Items {
		live[s.ID] = true
	}
	for _, e := range append(entries, first) {
		_, revoked := w.Revoked(identity.KindSession, e.Tokens.SessionID)
		_, err := w.Refresh(e.Tokens.RefreshToken)
		if id := e.Tokens.SessionID; revoked == live[id] || (err == nil) != live[id] {
			w.T.Errorf("session %s: live %v, in the log %v, refresh: %v", id, live[id], revoked, err)
		}
	}
	if live[first.Tokens.SessionID] {
		w.T.Error("the oldest session was kept")
	}
}

// lastLive finds a session that has not been evicted.
func lastLive(w *World, entries []identity.Entry) string {
	for _, e := range entries {
		if w.Service.Introspect(w.T.Context(), w.Caller(e.Tokens)) == nil {
			return e.Tokens.SessionID
		}
	}
	w.T.Fatal("no session lives")
	return ""
}

func refreshAgainstLogout(w *World) {
	for i := range 20 {
		e := w.SignUp(fmt.Sprintf("ada%d", i))
		var next identity.Tokens
		var refreshErr error
		together(2, func(who int) {
			if who == 0 {
				next, refreshErr = w.Refresh(e.Tokens.RefreshToken)
				return
			}
			if err := w.Service.Logout(w.T.Context(), w.Caller(e.Tokens)); err != nil {
				w.T.Errorf("log out: %v", err)
			}
		})
		if refreshErr == nil {
			_, refreshErr = w.Refresh(next.RefreshToken)
		}
		if !errors.Is(refreshErr, fault.Of(fault.InvalidRefreshToken)) {
			w.T.Errorf("after the logout: %v", refreshErr)
		}
		if _, ok := w.Revoked(identity.KindSession, e.Tokens.SessionID); !ok {
			w.T.Error("the logout is not in the log")
		}
	}
}

func mutualBlocking(w *World) {
	admins := []identity.Entry{w.SignUpAdmin("ada"), w.SignUpAdmin("bob")}
	errs := make([]error, 2)
	together(2, func(i int) {
		_, errs[i] = w.Service.SetStatus(w.T.Context(), w.Caller(admins[i].Tokens), admins[1-i].User.ID, identity.Blocked)
	})
	if (errs[0] == nil) == (errs[1] == nil) {
		w.T.Errorf("want one to win, got %v and %v", errs[0], errs[1])
	}
}

func sameIdentifier(w *World) {
	won := make([]bool, 10)
	together(len(won), func(i int) {
		_, err := w.Service.Signup(w.T.Context(), identity.SignupInput{
			Email: []string{"Ada@Example.org", "ADA@EXAMPLE.ORG"}[i%2], Password: secret.NewString(Password),
		})
		won[i] = err == nil
		if err != nil && !errors.Is(err, fault.Of(fault.UserExists)) {
			w.T.Errorf("a loser got %v", err)
		}
	})
	if n := len(slices.DeleteFunc(won, func(v bool) bool { return !v })); n != 1 {
		w.T.Errorf("%d people own one address", n)
	}
}

// callerOf is a caller with the rights of a guest.
func callerOf(userID, sessionID string) principal.Principal {
	p := principal.Principal{UserID: userID, SessionID: sessionID}
	for _, s := range []string{"sessions:read:self", "sessions:delete:self"} {
		perm, _ := principal.ParsePermission(s)
		p.Permissions = append(p.Permissions, perm)
	}
	return p
}

func sortedKeys[V any](m map[int]V) []int { return slices.Sorted(maps.Keys(m)) }

// firstStarts are replicas that all come up on an empty store: one makes the administrator and tells, and none of them fails.
func firstStarts(w *World) {
	var made, told atomic.Int64
	together(8, func(int) {
		was, err := w.Service.Bootstrap(w.T.Context(), identity.BootstrapInput{}, func(identity.BootstrapSecrets) error {
			told.Add(1)
			return nil
		})
		if err != nil {
			w.T.Errorf("a first start fails: %v", err)
		}
		if was {
			made.Add(1)
		}
	})
	if made.Load() != 1 || told.Load() != 1 {
		w.T.Errorf("%d made an administrator and %d told of one, want 1", made.Load(), told.Load())
	}
}
