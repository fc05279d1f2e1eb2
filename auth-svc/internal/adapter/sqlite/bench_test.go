package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// BenchmarkRefresh is one session refreshed over and over by each of 64 clients, on the real store with its real
// fsyncs, without the signature. Mark: 4000 a second on two cores with the client (250 µs each).
func BenchmarkRefresh(b *testing.B) {
	svc := service(b, open(b, filepath.Join(b.TempDir(), "auth.db"), time.Now))
	b.SetParallelism(32) // times GOMAXPROCS
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		token := signUp(b, svc).RefreshToken
		for pb.Next() {
			next, err := svc.Refresh(b.Context(), token, identity.Client{})
			if err != nil {
				b.Error(err)
				return
			}
			token = next.RefreshToken
		}
	})
}

func service(tb testing.TB, store identity.Store) *identity.Service {
	tb.Helper()
	svc, err := identity.New(store, &identitytest.Signer{}, &identitytest.Hasher{}, identity.Options{
		NewID: newID, MAC: identitytest.MAC{},
		Policy: func() identity.Policy { return identity.Policy{ReuseWindow: 10 * time.Second, MaxSessions: 5} },
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := svc.Prepare(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return svc
}

var newID = identitytest.NewIDs()

func signUp(tb testing.TB, svc *identity.Service) identity.Tokens {
	tb.Helper()
	e, err := svc.Signup(tb.Context(), identity.SignupInput{Username: "u" + newID(), Password: secret.NewString("correct horse")})
	if err != nil {
		tb.Fatal(err)
	}
	return e.Tokens
}
