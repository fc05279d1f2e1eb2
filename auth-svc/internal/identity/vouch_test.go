package identity_test

import (
	"net/netip"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func can(t *testing.T, names ...string) (list []principal.Permission) {
	for _, name := range names {
		list = append(list, permission(t, name))
	}
	return list
}

// programOf makes a key with these permissions and returns its caller.
func programOf(t *testing.T, w *identitytest.World, owner principal.Principal, names ...string) principal.Principal {
	t.Helper()
	made := must[identity.MadeAPIKey](t)(w.Service.CreateAPIKey(t.Context(), owner, identity.NewAPIKey{Name: "k", Permissions: can(t, names...)}))
	return principal.Principal{UserID: owner.UserID, APIKeyID: made.APIKey.ID, Permissions: made.APIKey.Permissions, Epoch: owner.Epoch}
}

func TestOpenSessionFor_StandsInForWhomItMay(t *testing.T) {
	w := newWorld(t, ordinary)
	admin := w.Caller(w.SignUpAdmin("root").Tokens)
	key := programOf(t, w, admin, "sessions:create:all")
	ada := w.SignUp("ada")
	tokens := must[identity.Tokens](t)(w.Service.OpenSessionFor(t.Context(), key, ada.User.ID, identity.Client{}))
	w.MustRefresh(tokens.RefreshToken)
	row := w.Audit()[len(w.Audit())-1]
	if row.Action != "session.vouch" || row.Target != "session:"+tokens.SessionID || row.Actor != "api_key:"+key.APIKeyID {
		t.Errorf("the trail says %+v", row)
	}
	// Nothing was proved, so what asks for a recent proof refuses.
	err := w.Service.ChangePasswordLately(t.Context(), w.Caller(tokens), identity.Client{}, text("another long pass phrase"))
	wantFault(t, err, fault.Forbidden)

	refused := func(caller principal.Principal, userID string, kind fault.Kind) {
		t.Helper()
		_, err := w.Service.OpenSessionFor(t.Context(), caller, userID, identity.Client{})
		wantFault(t, err, kind)
	}
	refused(programOf(t, w, admin, "sessions:read:all", "users:create:all"), ada.User.ID, fault.Forbidden)
	refused(w.Caller(ada.Tokens), ada.User.ID, fault.Forbidden)
	refused(key, admin.UserID, fault.Forbidden)
	refused(programOf(t, w, admin, "sessions:create:all", "users:read:all"), admin.UserID, fault.Forbidden)
	refused(key, "019a0000-0000-7000-8000-000000000000", fault.NotFound)

	bob := w.SignUp("bob")
	_, err = w.Service.EditUser(t.Context(), admin, bob.User.ID, identity.UserEdit{Permissions: pointerTo(can(t, "files:read:all"))})
	if err != nil {
		t.Fatal(err)
	}
	refused(key, bob.User.ID, fault.Forbidden)
	must[identity.Tokens](t)(w.Service.OpenSessionFor(t.Context(), programOf(t, w, admin, "sessions:create:all", "files:read:all"), bob.User.ID, identity.Client{}))
	must[identity.User](t)(w.Service.SetStatus(t.Context(), admin, bob.User.ID, identity.Blocked))
	refused(key, bob.User.ID, fault.AccountDeactivated)
	if blocked := must[bool](t)(w.Service.Blocked(t.Context(), bob.User.ID)); !blocked {
		t.Error("a blocked account is not")
	}
}

func TestOpenSessionFor_NotPastASecondFactor(t *testing.T) {
	w := newWorld(t, ordinary)
	key := programOf(t, w, w.Caller(w.SignUpAdmin("root").Tokens), "sessions:create:all")
	ada := w.SignUp("ada")
	w.Enrolled(ada.Tokens)
	_, err := w.Service.OpenSessionFor(t.Context(), key, ada.User.ID, identity.Client{})
	wantFault(t, err, fault.Forbidden)
}

func TestRefreshParts_AloneOpenNothing(t *testing.T) {
	w := newWorld(t, ordinary)
	tokens := w.SignUp("ada").Tokens
	parts, ok := w.Service.OpenRefresh(tokens.RefreshToken)
	if !ok || parts.SessionID != tokens.SessionID || parts.Generation != 1 {
		t.Fatalf("opened %+v, %v", parts, ok)
	}
	if again, err := w.Service.SealRefresh(parts); err != nil || again.Reveal() != tokens.RefreshToken.Reveal() {
		t.Errorf("sealed another token: %v", err)
	}
	if _, ok := w.Service.OpenRefresh(text("crr_AAAA")); ok {
		t.Error("a token that is not ours has opened")
	}
	bent := parts
	bent.Generation++
	forged, err := w.Service.SealRefresh(bent)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Refresh(forged)
	wantFault(t, err, fault.InvalidRefreshToken)
}

func TestRefresh_TellsOfAnotherAddress(t *testing.T) {
	box := identitytest.NewMailbox()
	policy := ordinary
	policy.TellOfMoves = true
	w := newWorldWith(t, policy, box.Use)
	in := identity.SignupInput{Email: "ada@example.org", Username: "ada", Password: text("a walk in the long rain")}
	in.Client.Address = netip.MustParseAddr("192.0.2.1")
	tokens := must[identity.Entry](t)(w.Service.Signup(t.Context(), in)).Tokens
	refreshFrom := func(address string) {
		t.Helper()
		tokens = must[identity.Tokens](t)(w.Service.Refresh(t.Context(), tokens.RefreshToken, identity.Client{Address: netip.MustParseAddr(address)}))
	}
	changes := func() (n int) {
		for _, row := range w.Audit() {
			if row.Action == "session.address_change" && row.Target == "session:"+tokens.SessionID {
				n++
			}
		}
		return n
	}
	for i, step := range []struct {
		address string
		told    int
	}{{"192.0.2.1", 0}, {"192.0.2.2", 1}, {"192.0.2.2", 1}, {"::ffff:192.0.2.2", 1}, {"192.0.2.1", 2}} {
		w.Clock.Advance(time.Minute)
		refreshFrom(step.address)
		if got := changes(); got != step.told {
			t.Errorf("step %d: told %d times, want %d", i, got, step.told)
		}
	}
}

func pointerTo[T any](v T) *T { return &v }
