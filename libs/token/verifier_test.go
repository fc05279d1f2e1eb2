package token_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

// metric sums a metric over its labels, or those whose labels have this value.
func metric(t testing.TB, reg prometheus.Gatherer, name string, label ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if len(label) == 0 || hasLabel(m, label[0]) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func hasLabel(m *dto.Metric, value string) bool {
	for _, l := range m.GetLabel() {
		if l.GetValue() == value {
			return true
		}
	}
	return false
}

func TestVerify_Principal(t *testing.T) {
	f := newFixture(t)
	now := time.Now().Unix()
	got, err := f.Verify(t.Context(), f.good("epoch", 7, "roles", []string{"admin", "guest"}, "iat", now, "exp", now+60,
		"permissions", []string{"files:read:self", "users:delete:all", "files:fly:nowhere", "nonsense"}))
	if err != nil {
		t.Fatal(err)
	}
	want := principal.Principal{
		UserID: tokentest.DefaultSubject, SessionID: tokentest.DefaultSession, TokenID: "jti-1", KeyID: "kid-EdDSA",
		Roles: []string{"admin", "guest"}, Epoch: 7, IssuedAt: time.Unix(now, 0).UTC(), ExpiresAt: time.Unix(now+60, 0).UTC(),
		Permissions: []principal.Permission{{Resource: "files", Action: "read", Scope: principal.Self}, {Resource: "users", Action: "delete", Scope: principal.All}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVerify_RemembersTokens(t *testing.T) {
	f := newFixture(t)
	raw := f.good()
	for range 3 {
		if got := f.kindOf(raw); got != -1 {
			t.Fatal(got)
		}
	}
	for name, want := range map[string]float64{
		"cloakroom_token_cache_hits_total": 2, "cloakroom_token_cache_misses_total": 1, "cloakroom_token_cache_entries": 1,
		"cloakroom_token_cache_evictions_total": 0, "cloakroom_token_verifications_total": 3,
	} {
		if got := metric(t, f.reg, name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

func TestVerify_CacheIsBounded(t *testing.T) {
	f := newFixture(t, func(p *token.Policy) { p.CacheSize = 100 })
	for i := range 400 {
		if got := f.kindOf(f.good("jti", fmt.Sprint(i))); got != -1 {
			t.Fatal(got)
		}
	}
	entries := metric(t, f.reg, "cloakroom_token_cache_entries")
	if entries > 128 || entries+metric(t, f.reg, "cloakroom_token_cache_evictions_total") != 400 {
		t.Errorf("%v entries after 400 tokens, %v evicted", entries, metric(t, f.reg, "cloakroom_token_cache_evictions_total"))
	}
	f.Close()
	f.kindOf(f.good()) // a request that was under way while the policy changed
	if got := metric(t, f.reg, "cloakroom_token_cache_entries"); got != 0 {
		t.Errorf("%v entries after Close", got)
	}
}

func TestVerify_RefusedTokensAreNotRemembered(t *testing.T) {
	f := newFixture(t)
	for _, raw := range hostileTokens(f) {
		f.kindOf(raw)
	}
	f.kindOf(f.good("iat", 1, "exp", 2))
	if got := metric(t, f.reg, "cloakroom_token_cache_entries"); got != 0 {
		t.Errorf("%v entries", got)
	}
}

func TestVerify_NothingRememberedOutlivesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		raw := f.good("exp", time.Now().Unix()+3)
		for range 3 {
			if got := f.kindOf(raw); got != -1 {
				t.Fatal(got)
			}
			time.Sleep(time.Second)
		}
		if got := f.kindOf(raw); got != fault.TokenExpired {
			t.Errorf("at its expiry: %v", got)
		}
		if got := metric(t, f.reg, "cloakroom_token_cache_entries"); got != 0 {
			t.Errorf("%v entries", got)
		}
	})
}

func TestVerify_FollowsTheKeys(t *testing.T) {
	f := newFixture(t)
	raw, key := f.good(), f.keys.keys["kid-EdDSA"]
	if got := f.kindOf(raw); got != -1 {
		t.Fatal(got)
	}
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	f.keys.keys["kid-EdDSA"] = token.Key{ID: "kid-EdDSA", Algorithm: "EdDSA", Public: public}
	if got := f.kindOf(raw); got != fault.InvalidToken {
		t.Errorf("the kid names another key: %v", got)
	}
	f.keys.keys["kid-EdDSA"] = key
	if got := f.kindOf(raw); got != -1 {
		t.Errorf("the key is back: %v", got)
	}
	delete(f.keys.keys, "kid-EdDSA")
	if got := f.kindOf(raw); got != fault.InvalidToken {
		t.Errorf("the key is gone: %v", got)
	}
	f.keys.broken = errors.New("no network")
	if got := f.kindOf(raw); got != fault.Unavailable {
		t.Errorf("no keys to be had: %v", got)
	}
	if got := f.kindOf("nonsense"); got != fault.InvalidToken {
		t.Errorf("nonsense needs no keys to be refused: %v", got)
	}
}

func TestVerify_RevocationOutranksTheCache(t *testing.T) {
	for _, c := range []struct {
		entry  token.Entry
		change []any
		want   fault.Kind
	}{
		{token.Entry{Kind: token.KindSession, ID: tokentest.DefaultSession}, nil, fault.InvalidToken},
		{token.Entry{Kind: token.KindSession, ID: "another"}, nil, -1},
		{token.Entry{Kind: token.KindAPIKey, ID: tokentest.DefaultSession}, nil, -1},
		{token.Entry{Kind: token.KindAPIKey, ID: "k-1"}, []any{"sid", nil, "api_key_id", "k-1"}, fault.InvalidToken},
		{token.Entry{Kind: token.KindSession, ID: "k-1"}, []any{"sid", nil, "api_key_id", "k-1"}, -1},
		{token.Entry{Kind: token.KindUserDeleted, ID: tokentest.DefaultSubject}, nil, fault.InvalidToken},
		{token.Entry{Kind: token.KindSigningKey, ID: "kid-EdDSA"}, nil, fault.InvalidToken},
		{token.Entry{Kind: token.KindSigningKey, ID: "kid-ES256"}, nil, -1},
		{token.Entry{Kind: token.KindUserEpoch, ID: tokentest.DefaultSubject}, []any{"epoch", 8}, fault.TokenStale},
		{token.Entry{Kind: token.KindUserEpoch, ID: tokentest.DefaultSubject}, []any{"epoch", 9}, -1},
		{token.Entry{Kind: token.KindUserEpoch, ID: tokentest.DefaultSubject}, []any{"epoch", 10}, -1},
		{token.Entry{Kind: token.KindUserEpoch, ID: tokentest.DefaultSubject}, []any{"epoch", nil}, fault.TokenStale},
		{token.Entry{Kind: token.KindUserEpoch, ID: "another"}, nil, -1},
	} {
		t.Run(fmt.Sprintf("%s %s", c.entry.Kind, c.entry.ID), func(t *testing.T) {
			f := newFixture(t)
			raw := f.good(c.change...)
			if got := f.kindOf(raw); got != -1 {
				t.Fatal(got)
			}
			c.entry.Seq, c.entry.At, c.entry.Until = 9, time.Now(), time.Now().Add(time.Hour)
			f.view.Apply(c.entry)
			for _, which := range []string{"remembered", "again"} {
				if got := f.kindOf(raw); got != c.want {
					t.Errorf("%s: %v, want %v", which, got, c.want)
				}
			}
			want := 1.0
			if c.want != -1 {
				want = 0
			}
			if got := metric(t, f.reg, "cloakroom_token_cache_entries"); got != want {
				t.Errorf("%v entries, want %v", got, want)
			}
		})
	}
}

func TestVerify_RefusesWhileNotFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		raw, dead := f.good(), f.good("sid", "dead")
		f.view.Apply(token.Entry{Seq: 1, Kind: token.KindSession, ID: "dead", At: time.Now(), Until: time.Now().Add(time.Hour)})
		time.Sleep(time.Minute)
		if got := f.kindOf(raw); got != -1 {
			t.Errorf("at the limit of staleness: %v", got)
		}
		time.Sleep(time.Millisecond)
		for name, c := range map[string]struct {
			raw  string
			want fault.Kind
		}{
			"a good token": {raw, fault.Unavailable}, "a new one": {f.good(), fault.Unavailable},
			"a revoked one": {dead, fault.InvalidToken}, "a forged one": {raw[:len(raw)-8] + "AAAAAAAA", fault.InvalidToken},
			"an expired one": {f.good("exp", time.Now().Unix()-1, "iat", 1), fault.TokenExpired},
		} {
			if got := f.kindOf(c.raw); got != c.want {
				t.Errorf("beyond the limit, %s: %v, want %v", name, got, c.want)
			}
		}
		f.view.Heard(1, time.Now())
		if got := f.kindOf(raw); got != -1 {
			t.Errorf("fresh again: %v", got)
		}
	})
}

func TestVerify_APolicyMayAskForAFresherView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(p *token.Policy) { p.MaxStaleness = 2 * time.Second })
		time.Sleep(2 * time.Second)
		if got := f.kindOf(f.good()); got != -1 {
			t.Errorf("at its limit: %v", got)
		}
		time.Sleep(time.Millisecond)
		if got := f.kindOf(f.good()); got != fault.Unavailable || f.view.Fresh() != nil {
			t.Errorf("beyond its limit: %v; the view itself: %v", got, f.view.Fresh())
		}
	})
}

func TestVerify_Introspects(t *testing.T) {
	asked := 0
	f := newFixture(t, func(p *token.Policy) {
		p.Introspect = func(_ context.Context, raw string) (principal.Principal, error) {
			asked++
			return principal.Principal{UserID: "from the source"}, nil
		}
	})
	if p, err := f.Verify(t.Context(), f.good()); err != nil || p.UserID != tokentest.DefaultSubject || asked != 0 {
		t.Errorf("while fresh: %v, %v, asked %d times", p, err, asked)
	}
	f.view.Reset()
	if p, err := f.Verify(t.Context(), f.good()); err != nil || p.UserID != "from the source" {
		t.Errorf("while not fresh: %v, %v", p, err)
	}
	if f.kindOf("forged"); asked != 1 {
		t.Errorf("asked %d times: a forged token must not reach the source", asked)
	}
}

func TestPolicy_Validate(t *testing.T) {
	good := token.Policy{Issuer: "i", Audiences: []string{"a"}, Leeway: 30 * time.Second}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*token.Policy){
		"no issuer": func(p *token.Policy) { p.Issuer = "" }, "no audience": func(p *token.Policy) { p.Audiences = nil },
		"an empty audience": func(p *token.Policy) { p.Audiences = []string{"a", ""} },
		"symmetric":         func(p *token.Policy) { p.Algorithms = []string{"EdDSA", "HS256"} },
		"none":              func(p *token.Policy) { p.Algorithms = []string{"none"} },
		"leeway":            func(p *token.Policy) { p.Leeway = 31 * time.Second },
		"staleness":         func(p *token.Policy) { p.MaxStaleness = -1 },
		"negative leeway":   func(p *token.Policy) { p.Leeway = -1 },
	} {
		bad := good
		change(&bad)
		if bad.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
		f := newFixture(t, change)
		if got := f.kindOf(f.good()); got != fault.Unavailable {
			t.Errorf("%s: a verifier of it says %v", name, got)
		}
	}
}

func TestPolicy_Algorithms(t *testing.T) {
	f := newFixture(t, func(p *token.Policy) { p.Algorithms = []string{"ES256"} })
	if got := f.kindOf(f.sign("ES256", header("ES256"), goodClaims())); got != -1 {
		t.Error(got)
	}
	if got := f.kindOf(f.good()); got != fault.InvalidToken {
		t.Errorf("an algorithm outside the policy: %v", got)
	}
}

// TestVerifier_MetricsSurviveANewPolicy: a second verifier on the same registry takes over, as on a reload.
func TestVerifier_MetricsSurviveANewPolicy(t *testing.T) {
	f := newFixture(t)
	f.kindOf(f.good())
	next := token.NewVerifier(f.keys, f.view, token.Policy{Issuer: tokentest.Name, Audiences: []string{tokentest.Audience}}, f.reg)
	f.Close()
	if _, err := next.Verify(t.Context(), f.good("jti", "other")); err != nil {
		t.Fatal(err)
	}
	if got := metric(t, f.reg, "cloakroom_token_verifications_total", "ok"); got != 2 {
		t.Errorf("verifications = %v, want 2", got)
	}
	if got := metric(t, f.reg, "cloakroom_token_cache_entries"); got != 1 {
		t.Errorf("entries = %v, want 1", got)
	}
}
