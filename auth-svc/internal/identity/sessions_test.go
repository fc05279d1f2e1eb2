package identity_test

import (
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func TestLogout_EndsThisSessionOnly(t *testing.T) {
	w := newWorld(t, ordinary)
	first := w.SignUp("ada")
	second := w.MustLogin("ada", identitytest.Password)
	if err := w.Service.Logout(t.Context(), w.Caller(first.Tokens)); err != nil {
		t.Fatal(err)
	}
	assertEnded(t, w, first.Tokens.SessionID)
	wantFault(t, w.Service.Logout(t.Context(), w.Caller(first.Tokens)), fault.InvalidToken)
	w.MustRefresh(second.Tokens.RefreshToken)
	r, _ := w.Revoked(identity.KindSession, first.Tokens.SessionID)
	if life := r.Until.Sub(r.At); life < 15*time.Minute || life > time.Hour {
		t.Errorf("the log keeps the logout for %v", life)
	}
}

func TestLogoutAll_EndsTheRestOrAll(t *testing.T) {
	for keep, want := range map[bool]int{true: 2, false: 3} {
		w := newWorld(t, ordinary)
		w.SignUp("ada")
		other := w.SignUp("bob")
		w.MustLogin("ada", identitytest.Password)
		e := w.MustLogin("ada", identitytest.Password)
		n := must[int](t)(w.Service.LogoutAll(t.Context(), w.Caller(e.Tokens), keep))
		if n != want {
			t.Errorf("keep %v: %d ended, want %d", keep, n, want)
		}
		if _, err := w.Refresh(e.Tokens.RefreshToken); (err == nil) != keep {
			t.Errorf("keep %v: the present session: %v", keep, err)
		}
		w.MustRefresh(other.Tokens.RefreshToken)
	}
}

func TestRevokeSession_OwnOnlyAndOnce(t *testing.T) {
	w := newWorld(t, ordinary)
	first, other := w.SignUp("ada"), w.SignUp("bob")
	second := w.MustLogin("ada", identitytest.Password)
	caller := w.Caller(second.Tokens)
	for _, id := range []string{other.Tokens.SessionID, "", "no such", "01890000-0000-7000-8000-000000000000"} {
		_, err := w.Service.RevokeSession(t.Context(), caller, id)
		wantFault(t, err, fault.NotFound)
	}
	seq := must[int64](t)(w.Service.RevokeSession(t.Context(), caller, first.Tokens.SessionID))
	if r, ok := w.Revoked(identity.KindSession, first.Tokens.SessionID); !ok || r.Seq != seq {
		t.Errorf("the log has %+v, want number %d", r, seq)
	}
	_, err := w.Service.RevokeSession(t.Context(), caller, first.Tokens.SessionID)
	wantFault(t, err, fault.NotFound)
	w.MustRefresh(other.Tokens.RefreshToken)
}

func TestListSessions_PagesNewestFirst(t *testing.T) {
	w := newWorld(t, ordinary)
	w.SignUp("ada")
	w.SignUp("bob")
	var last identity.Entry
	for range 4 {
		w.Clock.Advance(time.Minute)
		last = w.MustLogin("ada", identitytest.Password)
	}
	w.MustRefresh(last.Tokens.RefreshToken)
	var seen []identity.Session
	for after := (identity.Cursor{}); ; {
		page := must[identity.Page[identity.Session]](t)(w.Service.ListSessions(t.Context(), w.Caller(last.Tokens), after, 2))
		seen = append(seen, page.Items...)
		if after = page.Next; after.IsZero() {
			break
		}
	}
	if len(seen) != 5 || seen[0].ID != last.Tokens.SessionID || seen[0].RefreshCount() != 1 || seen[4].RefreshCount() != 0 {
		t.Fatalf("listed %+v", seen)
	}
	for i := range 4 {
		if !seen[i].CreatedAt.After(seen[i+1].CreatedAt) {
			t.Errorf("session %d is not newer than the next", i)
		}
	}
}

func TestCheckSession_AsksTheStore(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	got := must[identity.SessionCheck](t)(w.Service.CheckSession(t.Context(), w.Caller(e.Tokens)))
	if got.User.ID != e.User.ID || got.SessionID != e.Tokens.SessionID || got.ExpiresAt.IsZero() {
		t.Errorf("check says %+v", got)
	}
	stolen := w.Caller(e.Tokens)
	stolen.UserID = w.SignUp("bob").User.ID // a session of somebody else's
	both := w.Caller(e.Tokens)
	both.APIKeyID = "x"
	for name, caller := range map[string]principal.Principal{
		"nobody": {}, "neither session nor key": {UserID: e.User.ID}, "another's session": stolen, "session and key": both,
		"unknown session": {UserID: e.User.ID, SessionID: "x"}, "unknown key": {UserID: e.User.ID, APIKeyID: "x"},
	} {
		if _, err := w.Service.CheckSession(t.Context(), caller); fault.KindOf(err) != fault.InvalidToken {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.Clock.Advance(31 * 24 * time.Hour)
	_, err := w.Service.CheckSession(t.Context(), w.Caller(e.Tokens))
	wantFault(t, err, fault.InvalidToken)
}

func TestSessionCalls_NeedThePermission(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	weak := w.Caller(e.Tokens)
	weak.Permissions = nil
	_, listErr := w.Service.ListSessions(t.Context(), weak, identity.Cursor{}, 1)
	_, endErr := w.Service.RevokeSession(t.Context(), weak, e.Tokens.SessionID)
	_, allErr := w.Service.LogoutAll(t.Context(), weak, false)
	_, meErr := w.Service.Me(t.Context(), weak)
	for _, err := range []error{listErr, endErr, allErr, meErr} {
		wantFault(t, err, fault.Forbidden)
	}
	if err := w.Service.Logout(t.Context(), weak); err != nil {
		t.Errorf("everybody may leave: %v", err)
	}
}

func TestSweep_RemovesWhatHasExpired(t *testing.T) {
	synctestRun(t, func(t *testing.T, w *identitytest.World) {
		e := w.SignUp("ada")
		for range 3 {
			if err := w.Service.Logout(t.Context(), w.Caller(w.MustLogin("ada", identitytest.Password).Tokens)); err != nil {
				t.Fatal(err)
			}
		}
		if len(w.Log()) != 3 {
			t.Fatalf("log: %v", w.Log())
		}
		w.Clock.Advance(31 * 24 * time.Hour)
		time.Sleep(time.Hour + time.Minute) // Run sweeps each hour
		w.Write(func(ctx ctx, tx identity.Tx) error {
			if n, err := tx.SweepRevocations(ctx, 10); n != 0 || err != nil {
				t.Errorf("%d log entries were left, %v", n, err)
			}
			if _, err := tx.Session(ctx, e.Tokens.SessionID); fault.KindOf(err) != fault.NotFound {
				t.Errorf("the expired session is still there: %v", err)
			}
			return nil
		})
	})
}
