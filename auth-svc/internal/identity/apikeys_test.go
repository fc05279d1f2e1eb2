package identity_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func makeKey(t testing.TB, w *identitytest.World, caller principal.Principal, permissions ...string) identity.MadeAPIKey {
	t.Helper()
	in := identity.NewAPIKey{Name: "build"}
	for _, p := range permissions {
		in.Permissions = append(in.Permissions, permission(t, p))
	}
	return must[identity.MadeAPIKey](t)(w.Service.CreateAPIKey(t.Context(), caller, in))
}

func TestAPIKey_IsExchangedForItsOwnPermissionsOnly(t *testing.T) {
	w := newWorld(t, ordinary)
	ada := w.Caller(w.SignUp("ada").Tokens)
	key := makeKey(t, w, ada, "files:read:self", "files:create:self")
	if !strings.HasPrefix(key.Secret.Reveal(), "crk_") {
		t.Errorf("the key is %s", key.Secret.Reveal())
	}
	ex := must[identity.ExchangedAPIKey](t)(w.Service.ExchangeAPIKey(t.Context(), key.Secret))
	c := identitytest.Caller(ex.AccessToken.Reveal())
	want := []principal.Permission{permission(t, "files:create:self"), permission(t, "files:read:self")}
	if c.UserID != ada.UserID || c.APIKeyID != key.APIKey.ID || c.SessionID != "" || !slices.Equal(c.Permissions, want) || len(c.Roles) > 0 {
		t.Errorf("the token says %+v", c)
	}
	if ex.ExpiresIn != 5*time.Minute {
		t.Errorf("it lives %v", ex.ExpiresIn)
	}
	listed := must[identity.Page[identity.APIKey]](t)(w.Service.ListAPIKeys(t.Context(), ada, identity.Cursor{}, 10)).Items
	if len(listed) != 1 || !listed[0].LastUsedAt.Equal(w.Clock.Now()) {
		t.Errorf("listed: %+v", listed)
	}
}

func TestAPIKey_NeverExceedsItsMaker(t *testing.T) {
	w := newWorld(t, ordinary)
	ada := w.Caller(w.SignUp("ada").Tokens)
	for _, more := range []string{"files:read:all", "users:create:self", "sessions:create:all", "audit:read:all"} {
		_, err := w.Service.CreateAPIKey(t.Context(), ada, identity.NewAPIKey{Name: "k", Permissions: []principal.Permission{permission(t, more)}})
		wantFault(t, err, fault.Forbidden)
	}
	// A key that may make keys makes none that can do more than itself.
	maker := makeKey(t, w, ada, "api_keys:create:self", "files:read:self")
	ex := must[identity.ExchangedAPIKey](t)(w.Service.ExchangeAPIKey(t.Context(), maker.Secret))
	program := identitytest.Caller(ex.AccessToken.Reveal())
	_, err := w.Service.CreateAPIKey(t.Context(), program, identity.NewAPIKey{Name: "k", Permissions: []principal.Permission{permission(t, "files:delete:self")}})
	wantFault(t, err, fault.Forbidden)
	makeKey(t, w, program, "files:read:self")
}

// Else a key that leaks for an hour is a key for ever.
func TestAPIKey_NeverOutlivesTheKeyThatMadeIt(t *testing.T) {
	w := newWorld(t, ordinary)
	ada := w.Caller(w.SignUp("ada").Tokens)
	end := w.Clock.Now().Add(time.Hour)
	in := identity.NewAPIKey{Name: "k", Permissions: []principal.Permission{permission(t, "api_keys:create:self")}, ExpiresAt: end}
	maker := must[identity.MadeAPIKey](t)(w.Service.CreateAPIKey(t.Context(), ada, in))
	ex := must[identity.ExchangedAPIKey](t)(w.Service.ExchangeAPIKey(t.Context(), maker.Secret))
	program := identitytest.Caller(ex.AccessToken.Reveal())
	for _, asked := range []time.Time{{}, end} {
		in.ExpiresAt = asked
		child := must[identity.MadeAPIKey](t)(w.Service.CreateAPIKey(t.Context(), program, in))
		if !child.APIKey.ExpiresAt.Equal(end) {
			t.Errorf("asked for %v, the key lives until %v, its maker until %v", asked, child.APIKey.ExpiresAt, end)
		}
	}
	in.ExpiresAt = end.Add(time.Second)
	_, err := w.Service.CreateAPIKey(t.Context(), program, in)
	wantFields(t, err, "expires_at")
}

func TestAPIKey_LosesWhatItsMakerLoses(t *testing.T) {
	w := newWorld(t, ordinary)
	root, second := w.SignUpAdmin("root"), w.SignUpAdmin("second")
	key := makeKey(t, w, w.Caller(second.Tokens), "users:read:all", "files:read:all")
	must[identity.User](t)(setRights(w, w.Caller(root.Tokens), second.User.ID, []string{identity.RoleGuest}, nil))
	ex := must[identity.ExchangedAPIKey](t)(w.Service.ExchangeAPIKey(t.Context(), key.Secret))
	c := identitytest.Caller(ex.AccessToken.Reveal())
	if c.May("users", "read", false) || !c.May("users", "read", true) || c.May("files", "read", false) || !c.May("files", "read", true) {
		t.Errorf("the token says %+v", c.Permissions)
	}
}

func TestAPIKey_EveryRefusalIsAlike(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	ada := w.Caller(e.Tokens)
	good, revoked := makeKey(t, w, ada, "files:read:self"), makeKey(t, w, ada, "files:read:self")
	in := identity.NewAPIKey{Name: "k", Permissions: good.APIKey.Permissions, ExpiresAt: w.Clock.Now().Add(time.Minute)}
	expiring := must[identity.MadeAPIKey](t)(w.Service.CreateAPIKey(t.Context(), ada, in))
	ex := must[identity.ExchangedAPIKey](t)(w.Service.ExchangeAPIKey(t.Context(), expiring.Secret))
	if ex.ExpiresIn != time.Minute {
		t.Errorf("the token of a key that ends in a minute lives %v", ex.ExpiresIn)
	}
	must[int64](t)(w.Service.RevokeAPIKey(t.Context(), ada, revoked.APIKey.ID))
	w.Clock.Advance(time.Minute)
	var body string
	for name, raw := range map[string]string{
		"revoked": revoked.Secret.Reveal(), "expired": expiring.Secret.Reveal(), "empty": "", "prefix": "crk_",
		"a refresh token": e.Tokens.RefreshToken.Reveal(), "changed": good.Secret.Reveal()[:60] + "AAAA" + good.Secret.Reveal()[64:],
		"cut": good.Secret.Reveal()[:50],
	} {
		_, err := w.Service.ExchangeAPIKey(t.Context(), text(raw))
		wantFault(t, err, fault.InvalidCredentials)
		if body == "" {
			body = err.Error()
		}
		if err.Error() != body {
			t.Errorf("%s: %q differs from %q", name, err, body)
		}
	}
	must[identity.ExchangedAPIKey](t)(w.Service.ExchangeAPIKey(t.Context(), good.Secret))
}

func TestAPIKey_ForgedOneIsRefusedWithoutAskingTheStore(t *testing.T) {
	w := newWorld(t, ordinary)
	key := makeKey(t, w, w.Caller(w.SignUp("ada").Tokens), "files:read:self").Secret.Reveal()
	txs := w.Store.Txs.Load()
	for i := 4; i < len(key); i++ {
		b := []byte(key)
		if b[i] = 'A'; key[i] == 'A' {
			b[i] = 'B'
		}
		_, err := w.Service.ExchangeAPIKey(t.Context(), text(string(b)))
		wantFault(t, err, fault.InvalidCredentials)
	}
	if w.Store.Txs.Load() != txs {
		t.Error("a forged key made the store work")
	}
}

func TestRevokeAPIKey_ReachesTheLogAndOnlyOwnKeys(t *testing.T) {
	w := newWorld(t, ordinary)
	ada, bob := w.Caller(w.SignUp("ada").Tokens), w.Caller(w.SignUp("bob").Tokens)
	key := makeKey(t, w, ada, "files:read:self")
	must[identity.ExchangedAPIKey](t)(w.Service.ExchangeAPIKey(t.Context(), key.Secret))
	_, err := w.Service.RevokeAPIKey(t.Context(), bob, key.APIKey.ID)
	wantFault(t, err, fault.NotFound)
	seq := must[int64](t)(w.Service.RevokeAPIKey(t.Context(), ada, key.APIKey.ID))
	r, ok := w.Revoked(identity.KindAPIKey, key.APIKey.ID)
	if !ok || r.Seq != seq || r.Until.Sub(r.At) < 5*time.Minute {
		t.Errorf("the log says %+v", r)
	}
	_, err = w.Service.RevokeAPIKey(t.Context(), ada, key.APIKey.ID)
	wantFault(t, err, fault.NotFound)
}

func TestCreateAPIKey_RefusesBadWishesAndTooMany(t *testing.T) {
	w := newWorld(t, ordinary)
	ada := w.Caller(w.SignUp("ada").Tokens)
	ok := []principal.Permission{permission(t, "files:read:self")}
	for _, c := range []struct {
		in    identity.NewAPIKey
		field []string
	}{
		{identity.NewAPIKey{}, []string{"name", "permissions"}},
		{identity.NewAPIKey{Name: strings.Repeat("x", 101), Permissions: ok}, []string{"name"}},
		{identity.NewAPIKey{Name: "a\nb", Permissions: ok}, []string{"name"}},
		{identity.NewAPIKey{Name: "k", Permissions: make([]principal.Permission, 65)}, []string{"permissions"}},
		{identity.NewAPIKey{Name: "k", Permissions: []principal.Permission{{Resource: "a:b", Action: "read", Scope: "self"}}}, []string{"permissions[0]"}},
		{identity.NewAPIKey{Name: "k", Permissions: []principal.Permission{{Resource: "files", Action: "read", Scope: "own"}}}, []string{"permissions[0]"}},
		{identity.NewAPIKey{Name: "k", Permissions: ok, ExpiresAt: w.Clock.Now()}, []string{"expires_at"}},
	} {
		_, err := w.Service.CreateAPIKey(t.Context(), ada, c.in)
		wantFields(t, err, c.field...)
	}
	for range 100 {
		makeKey(t, w, ada, "files:read:self")
	}
	_, err := w.Service.CreateAPIKey(t.Context(), ada, identity.NewAPIKey{Name: "k", Permissions: ok})
	wantFault(t, err, fault.Conflict)
}

func TestBootstrap_HappensOnceAndItsSecretsWork(t *testing.T) {
	w := newWorld(t, ordinary)
	var told []identity.BootstrapSecrets
	tell := func(s identity.BootstrapSecrets) error {
		told = append(told, s)
		return nil
	}
	// Told, and then the commit is lost: nothing is true, and the next start tells anew.
	lost := identitytest.Memory(w.Clock.Now)
	crash := identitytest.NewWorld(t, crashing{lost}, w.Clock, ordinary, nil)
	if made, err := crash.Service.Bootstrap(t.Context(), identity.BootstrapInput{}, tell); err == nil || made {
		t.Errorf("a lost commit made %v, %v", made, err)
	}
	w = identitytest.NewWorld(t, lost, w.Clock, ordinary, nil)
	if made, err := w.Service.Bootstrap(t.Context(), identity.BootstrapInput{}, tell); err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	if made, err := w.Service.Bootstrap(t.Context(), identity.BootstrapInput{}, tell); err != nil || made || len(told) != 2 {
		t.Errorf("the second start made %v, %v and told %d times", made, err, len(told))
	}
	s := told[1]
	if s.Username != "admin" || len(s.Token.Reveal()) != 50 || s.Token == told[0].Token {
		t.Errorf("told %q and a token of %d characters", s.Username, len(s.Token.Reveal()))
	}
	e := w.MustLogin(s.Username, s.Password.Reveal())
	if !w.Caller(e.Tokens).May("signing_keys", "create", false) {
		t.Error("the administrator is none")
	}
	ex := must[identity.ExchangedAPIKey](t)(w.Service.ExchangeAPIKey(t.Context(), s.APIKey))
	if !identitytest.Caller(ex.AccessToken.Reveal()).May("users", "read", false) {
		t.Error("the administrator's key can't do what the administrator can")
	}
}

// crashing is a store whose process dies after the work and before the commit, from the second transaction on.
type crashing struct{ identity.Store }

func (c crashing) InTx(ctx context.Context, fn func(identity.Tx) error) error {
	return c.Store.InTx(ctx, func(tx identity.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if was, _ := tx.Bootstrapped(ctx); was {
			return identitytest.Down
		}
		return nil
	})
}

func TestBootstrap_FailsWholeWhenTheSecretsCantBeKept(t *testing.T) {
	w := newWorld(t, ordinary)
	_, err := w.Service.Bootstrap(t.Context(), identity.BootstrapInput{}, func(identity.BootstrapSecrets) error {
		return fault.New(fault.StorageFull, "no room for the file")
	})
	wantFault(t, err, fault.StorageFull)
	made := must[bool](t)(w.Service.Bootstrap(t.Context(), identity.BootstrapInput{Username: "root", Password: text("correct horse")}, func(identity.BootstrapSecrets) error { return nil }))
	if !made {
		t.Error("the failed start was remembered")
	}
	w.MustLogin("root", "correct horse")
}
