package postgres_test

import (
	"testing"

	"cloakroom.dev/libs/pgtest"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// BenchmarkRefresh is one session refreshed over and over by each of many clients, on a server that syncs, without the
// signature. It prints refreshes a second.
func BenchmarkRefresh(b *testing.B) {
	w := identitytest.NewWorld(b, open(b, pgtest.NewServer(b).DSN(), nil), identitytest.NewClock(), identity.Policy{}, nil)
	people := make(chan secret.String, 1000)
	for i := range cap(people) / 10 {
		people <- w.SignUp("u" + string(rune('a'+i/10)) + string(rune('a'+i%10))).Tokens.RefreshToken
	}
	b.SetParallelism(16) // times GOMAXPROCS
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		token := <-people
		for pb.Next() {
			next, err := w.Refresh(token)
			if err != nil {
				b.Error(err)
				return
			}
			token = next.RefreshToken
		}
		people <- token
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "refreshes/s")
}
