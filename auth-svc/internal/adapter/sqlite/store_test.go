package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

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

func TestStore_KeepsTheStoresContracts(t *testing.T) {
	identitytest.RunStore(t, func(t *testing.T, now func() time.Time) identity.Store {
		return open(t, filepath.Join(t.TempDir(), "auth.db"), now)
	})
}
