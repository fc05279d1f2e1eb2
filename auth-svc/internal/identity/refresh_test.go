package identity_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func TestRefresh_RetryInsideTheWindowGivesTheSameSuccessor(t *testing.T) {
	w := newWorld(t, ordinary)
	first := w.SignUp("ada").Tokens
	second := w.MustRefresh(first.RefreshToken)
	w.Clock.Advance(9 * time.Second)
	again := w.MustRefresh(first.RefreshToken)
	if again.RefreshToken.Reveal() != second.RefreshToken.Reveal() {
		t.Error("the retry got another successor")
	}
	if again.AccessToken.Reveal() == second.AccessToken.Reveal() {
		t.Error("the retry got no access token of its own")
	}
	w.MustRefresh(again.RefreshToken)
}

func TestRefresh_LostAnswerCostsNothing(t *testing.T) {
	w := newWorld(t, ordinary)
	first := w.SignUp("ada").Tokens
	w.Store.After.Store(identitytest.Down) // the commit stands, the answer is gone
	_, err := w.Refresh(first.RefreshToken)
	wantFault(t, err, fault.Unavailable)
	w.MustRefresh(w.MustRefresh(first.RefreshToken).RefreshToken)
}

func TestRefresh_WindowNeverSlides(t *testing.T) {
	w := newWorld(t, ordinary)
	first := w.SignUp("ada").Tokens
	w.MustRefresh(first.RefreshToken)
	for range 3 {
		w.Clock.Advance(3 * time.Second)
		w.MustRefresh(first.RefreshToken)
	}
	w.Clock.Advance(time.Second) // ten seconds after the rotation, one after the last repeat
	_, err := w.Refresh(first.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken)
	assertEnded(t, w, first.SessionID)
}

func TestRefresh_WindowIsCutToAMinute(t *testing.T) {
	w := newWorld(t, identity.Policy{ReuseWindow: time.Hour})
	first := w.SignUp("ada").Tokens
	w.MustRefresh(first.RefreshToken)
	w.Clock.Advance(time.Minute)
	_, err := w.Refresh(first.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken)
}

func TestRefresh_WindowClosesWhenTheSuccessorIsUsed(t *testing.T) {
	w := newWorld(t, ordinary)
	first := w.SignUp("ada").Tokens
	third := w.MustRefresh(w.MustRefresh(first.RefreshToken).RefreshToken)
	_, err := w.Refresh(first.RefreshToken) // two generations back, no second later
	wantFault(t, err, fault.InvalidRefreshToken)
	assertEnded(t, w, first.SessionID)
	_, err = w.Refresh(third.RefreshToken) // nor does the token that was live a moment ago
	wantFault(t, err, fault.InvalidRefreshToken)
}

func TestRefresh_StrictModeTakesNoTokenTwice(t *testing.T) {
	w := newWorld(t, identity.Policy{})
	first := w.SignUp("ada").Tokens
	w.MustRefresh(first.RefreshToken)
	_, err := w.Refresh(first.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken)
	assertEnded(t, w, first.SessionID)
}

func TestRefresh_TheftIsAuditedOnceAndEndsTheSessionEverywhere(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	other := w.MustLogin("ada", identitytest.Password)
	live := w.MustRefresh(e.Tokens.RefreshToken)
	w.Clock.Advance(time.Minute)
	for range 3 {
		_, err := w.Refresh(e.Tokens.RefreshToken)
		wantFault(t, err, fault.InvalidRefreshToken)
	}
	thefts := 0
	for _, row := range w.Audit() {
		if row.Action == "session.theft" {
			thefts++
		}
	}
	if thefts != 1 {
		t.Errorf("%d entries about one theft", thefts)
	}
	assertEnded(t, w, e.Tokens.SessionID)
	wantFault(t, w.Service.Introspect(t.Context(), w.Caller(live)), fault.InvalidToken)
	w.MustRefresh(other.Tokens.RefreshToken) // the person's other devices stay
}

func TestRefresh_ForgedTokenIsRefusedWithoutAskingTheStore(t *testing.T) {
	w := newWorld(t, ordinary)
	token := w.SignUp("ada").Tokens.RefreshToken.Reveal()
	flip := func(i int) string {
		b := []byte(token)
		if b[i]++; !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", rune(b[i])) {
			b[i] = 'A'
		}
		return string(b)
	}
	forged := map[string]string{
		"empty": "", "prefix only": "crr_", "API key's prefix": "crk_" + token[4:], "cut": token[:len(token)-1],
		"longer": token + "A", "padded": token + "=", "blank": token + " ", "newline inside": token[:50] + "\n" + token[50:],
		"huge": "crr_" + strings.Repeat("A", 1<<20), "not base64": "crr_" + strings.Repeat("!", len(token)-4),
	}
	for i := 4; i < len(token); i++ {
		forged["changed at "+token[:i]] = flip(i)
	}
	txs, views := w.Store.Txs.Load(), w.Store.Views.Load()
	for name, raw := range forged {
		if _, err := w.Refresh(text(raw)); !errors.Is(err, fault.Of(fault.InvalidRefreshToken)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.Store.Txs.Load() != txs || w.Store.Views.Load() != views {
		t.Error("a forged token made the store work")
	}
	w.MustRefresh(text(token)) // and the session lives
}

func TestRefresh_TokenOfAnotherKeyRingIsForged(t *testing.T) {
	w := newWorld(t, ordinary)
	token := w.SignUp("ada").Tokens.RefreshToken
	other := identitytest.NewWorld(t, w.Store.Store, w.Clock, ordinary, func(o *identity.Options) {
		o.MAC = identitytest.MAC{Key: []byte("another")}
	})
	_, err := other.Refresh(token)
	wantFault(t, err, fault.InvalidRefreshToken)
	w.MustRefresh(token)
}

func TestRefresh_ContentionAndAStoreThatIsDownSpendNothing(t *testing.T) {
	w := newWorld(t, ordinary)
	token := w.SignUp("ada").Tokens.RefreshToken
	for name, c := range map[string]struct {
		store *fault.Error
		want  fault.Kind
	}{
		"contention": {fault.New(fault.Conflict, "moved"), fault.Conflict},
		"down":       {identitytest.Down, fault.Unavailable},
		"disk full":  {fault.New(fault.StorageFull, "full"), fault.Unavailable},
		"a bug":      {fault.New(fault.Internal, "no such column"), fault.Unavailable},
	} {
		w.Store.Before.Store(c.store)
		_, err := w.Refresh(token)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != c.want || f.RetryAfter <= 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.MustRefresh(token)
}

func TestRefresh_NeverMintsForWhoMayNotComeIn(t *testing.T) {
	for name, end := range map[string]func(*identitytest.World, identity.Entry){
		"logged out": func(w *identitytest.World, e identity.Entry) {
			if err := w.Service.Logout(t.Context(), w.Caller(e.Tokens)); err != nil {
				t.Error(err)
			}
		},
		"blocked behind the service's back": func(w *identitytest.World, e identity.Entry) {
			w.Write(func(ctx context.Context, tx identity.Tx) error {
				u, err := tx.User(ctx, e.User.ID)
				u.Status = identity.Blocked
				return errors.Join(err, tx.UpdateUser(ctx, u))
			})
		},
		"deleted": func(w *identitytest.World, e identity.Entry) {
			if err := w.Service.DeleteMe(t.Context(), w.Caller(e.Tokens), identitytest.Laptop, text(identitytest.Password)); err != nil {
				t.Error(err)
			}
		},
		"idle for too long": func(w *identitytest.World, _ identity.Entry) { w.Clock.Advance(30 * 24 * time.Hour) },
		"a shorter life since": func(w *identitytest.World, _ identity.Entry) {
			w.Clock.Advance(2 * time.Hour)
			w.Policy.Store(&identity.Policy{AbsoluteLife: time.Hour})
		},
		"a shorter idle life since": func(w *identitytest.World, _ identity.Entry) {
			w.Clock.Advance(2 * time.Hour)
			w.Policy.Store(&identity.Policy{IdleLife: time.Hour})
		},
		"over a smaller cap since": func(w *identitytest.World, _ identity.Entry) {
			w.Clock.Advance(time.Second)
			w.MustLogin("ada", identitytest.Password)
			w.Policy.Store(&identity.Policy{MaxSessions: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ordinary)
			e := w.SignUp("ada")
			end(w, e)
			_, err := w.Refresh(e.Tokens.RefreshToken)
			wantFault(t, err, fault.InvalidRefreshToken)
		})
	}
}

func TestRefresh_AbsoluteLifeIsNotProlonged(t *testing.T) {
	w := newWorld(t, identity.Policy{AbsoluteLife: 3 * time.Hour, IdleLife: time.Hour + time.Minute})
	token := w.SignUp("ada").Tokens.RefreshToken
	for range 2 {
		w.Clock.Advance(time.Hour)
		token = w.MustRefresh(token).RefreshToken
	}
	w.Clock.Advance(55 * time.Minute)
	last := w.MustRefresh(token)
	if left := last.RefreshExpiresAt.Sub(w.Clock.Now()); left != 5*time.Minute || last.ExpiresIn != 5*time.Minute {
		t.Errorf("refresh token lives %v, access token %v, want 5 min each", left, last.ExpiresIn)
	}
	w.Clock.Advance(5 * time.Minute)
	_, err := w.Refresh(last.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken)
}

func TestRefresh_ClockSetBackHoldsNoWindowOpen(t *testing.T) {
	w := newWorld(t, ordinary)
	first := w.SignUp("ada").Tokens
	w.MustRefresh(first.RefreshToken)
	w.Clock.Advance(-time.Hour)
	_, err := w.Refresh(first.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken)
	assertEnded(t, w, first.SessionID)
}

func TestRefresh_BringsNewRights(t *testing.T) {
	w := newWorld(t, ordinary)
	admin, guest := w.SignUpAdmin("root"), w.SignUp("ada")
	must[identity.User](t)(setRights(w, w.Caller(admin.Tokens), guest.User.ID, []string{identity.RoleAdmin}, nil))
	wantFault(t, w.Service.Introspect(t.Context(), w.Caller(guest.Tokens)), fault.TokenStale)
	next := w.MustRefresh(guest.Tokens.RefreshToken)
	if c := w.Caller(next); len(c.Roles) != 1 || c.Roles[0] != identity.RoleAdmin || !c.May("users", "read", false) || c.Epoch == 0 {
		t.Errorf("the refreshed token says %+v", c)
	}
	if err := w.Service.Introspect(t.Context(), w.Caller(next)); err != nil {
		t.Errorf("the refreshed token does not hold: %v", err)
	}
}

func assertEnded(t *testing.T, w *identitytest.World, sessionID string) {
	t.Helper()
	if _, ok := w.Revoked(identity.KindSession, sessionID); !ok {
		t.Error("the session is not in the log")
	}
	w.Write(func(ctx context.Context, tx identity.Tx) error {
		if _, err := tx.Session(ctx, sessionID); !errors.Is(err, fault.Of(fault.NotFound)) {
			t.Errorf("the session is still there: %v", err)
		}
		return nil
	})
}
