package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/sqlite"
	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func open(t testing.TB, path string, now func() time.Time) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func fresh(t *testing.T, now func() time.Time) identity.Store {
	return open(t, filepath.Join(t.TempDir(), "auth.db"), now)
}

func TestStore_KeepsTheStoresContracts(t *testing.T) { identitytest.RunStore(t, fresh) }

func TestStore_RefreshAgreesWithTheModel(t *testing.T) { identitytest.RunRefreshModel(t, fresh) }

func TestStore_HoldsWhenManyComeAtOnce(t *testing.T) { identitytest.RunConcurrency(t, fresh) }

func TestStore_CodesGainNothingFromParallelRequests(t *testing.T) { identitytest.RunFactors(t, fresh) }

// A copy of the files, as somebody who has stolen a backup or the disk has them, must let nobody in: every secret the
// service ever hands out or is told is looked for in the bytes of the database and its journal.
func TestDump_HoldsNoUsableSecret(t *testing.T) {
	dir := t.TempDir()
	clock := identitytest.NewClock()
	w := identitytest.NewWorld(t, open(t, filepath.Join(dir, "auth.db"), clock.Now), clock,
		identity.Policy{ReuseWindow: 10 * time.Second}, nil)
	private := append([]byte{}, w.Signer.Private...)
	dump := searcher{t: t, dir: dir}

	var first identity.BootstrapSecrets
	if _, err := w.Service.Bootstrap(t.Context(), identity.BootstrapInput{}, func(s identity.BootstrapSecrets) error {
		first = s
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	e := w.SignUp("ada")
	rotated := w.MustRefresh(e.Tokens.RefreshToken)
	repeated := w.MustRefresh(e.Tokens.RefreshToken)
	if err := w.Service.ChangePassword(t.Context(), w.Caller(repeated), identitytest.Laptop, secret.NewString(identitytest.Password), secret.NewString("another horse")); err != nil {
		t.Fatal(err)
	}
	key, err := w.Service.CreateAPIKey(t.Context(), w.Caller(repeated), identity.NewAPIKey{
		Name: "build", Permissions: w.Caller(repeated).Permissions,
	})
	if err != nil {
		t.Fatal(err)
	}

	shared, codes := w.Enrolled(w.SignUp("bob").Tokens)
	pending := w.Pending("bob")

	dump.lacks("a second factor's secret", []byte(shared.Reveal()))
	dump.lacks("a recovery code", []byte(codes[0].Reveal()))
	dump.lacks("a recovery code without hyphens", []byte(strings.ReplaceAll(codes[0].Reveal(), "-", "")))
	dump.lacksCredential("a challenge token", pending.Token, 32)
	dump.lacks("a private signing key", private)
	dump.lacks("a password", []byte(identitytest.Password))
	dump.lacks("a changed password", []byte("another horse"))
	dump.lacks("the administrator's password", []byte(first.Password.Reveal()))
	dump.lacks("the bootstrap token", []byte(first.Token.Reveal()))
	dump.lacksCredential("the administrator's key", first.APIKey, 32)
	dump.lacksCredential("an API key", key.Secret, 32)
	dump.lacksCredential("a spent refresh token", e.Tokens.RefreshToken, 32)
	dump.lacksCredential("a live refresh token", rotated.RefreshToken, 32)
	dump.lacks("an access token", []byte(rotated.AccessToken.Reveal()))
	dump.has("the canonical address, or the search is blind", []byte("ada@example.org"))
}

func TestOpen_YesterdaysFileGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "auth.db")
	clock := identitytest.NewClock()
	before, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	w := identitytest.NewWorld(t, before, clock, identity.Policy{}, nil)
	token := w.SignUp("ada").Tokens.RefreshToken
	gone := w.MustLogin("ada", identitytest.Password)
	if err := w.Service.Logout(t.Context(), w.Caller(gone.Tokens)); err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}

	w = identitytest.NewWorld(t, open(t, path, clock.Now), clock, identity.Policy{}, nil)
	w.MustRefresh(token)
	if _, ok := w.Revoked(identity.KindSession, gone.Tokens.SessionID); !ok {
		t.Error("a restart has forgotten a logout")
	}
	w.Audit()
}
