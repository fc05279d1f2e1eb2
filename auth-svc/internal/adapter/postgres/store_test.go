package postgres_test

import (
	"context"
	"testing"
	"time"

	"cloakroom.dev/libs/pgtest"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/postgres"
	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

var template = pgtest.NewTemplate(func(ctx context.Context, dsn secret.String) error {
	s, err := postgres.Open(ctx, dsn, postgres.Options{})
	if err != nil {
		return err
	}
	return s.Close()
})

func open(t testing.TB, dsn secret.String, now func() time.Time) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{Now: now})
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

func fresh(t *testing.T, now func() time.Time) identity.Store { return open(t, template.New(t), now) }

func TestStore_KeepsTheStoresContracts(t *testing.T) { identitytest.RunStore(t, fresh) }

func TestStore_RefreshAgreesWithTheModel(t *testing.T) { identitytest.RunRefreshModel(t, fresh) }

func TestStore_HoldsWhenManyComeAtOnce(t *testing.T) { identitytest.RunConcurrency(t, fresh) }

func TestStore_CodesGainNothingFromParallelRequests(t *testing.T) { identitytest.RunFactors(t, fresh) }
