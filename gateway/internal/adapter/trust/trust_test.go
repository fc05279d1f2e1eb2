package trust_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/gateway/internal/adapter/trust"
	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/token/tokentest"
)

func policy(digest string, change func(*v1alpha1.TokenPolicySpec)) *routing.TokenPolicy {
	spec := &v1alpha1.TokenPolicySpec{
		Issuer: tokentest.Name, Audiences: []v1alpha1.Audience{tokentest.Audience}, Algorithms: []v1alpha1.Algorithm{"EdDSA"},
		JWKS:   v1alpha1.JWKS{RefreshInterval: "60s", MaxStale: "24h", UnknownKeyCooldown: "10s"},
		Leeway: "60s", Cache: v1alpha1.TokenCache{MaxEntries: 16},
		Revocation: v1alpha1.Revocation{Mode: v1alpha1.RevocationLog, MaxStaleness: "5s", OnUnavailable: v1alpha1.UnavailableDeny},
	}
	if change != nil {
		change(spec)
	}
	return &routing.TokenPolicy{Name: digest, Digest: digest, Spec: spec}
}

func start(t *testing.T, issuer *tokentest.Issuer) *trust.Trust {
	t.Helper()
	tr, err := trust.New(trust.Options{
		AuthURLs: []string{issuer.URL}, Follower: "test", Client: issuer.Client(), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		Introspect: func(context.Context, string) (principal.Principal, error) {
			return principal.Principal{UserID: "introspected"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return tr
}

func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestTrust_PoliciesComeAndGoWhileItRuns(t *testing.T) {
	issuer := tokentest.New(t)
	tr := start(t, issuer)
	a, b := policy("a", nil), policy("b", func(s *v1alpha1.TokenPolicySpec) { s.Issuer = "https://elsewhere.test" })
	first := tr.Verifiers([]*routing.TokenPolicy{a, b})
	wait(t, "ready", func() bool { return tr.Ready(t.Context()) == nil })
	raw := issuer.Mint()
	if _, err := first["a"].Verify(t.Context(), raw); err != nil {
		t.Error(err)
	}
	if _, err := first["b"].Verify(t.Context(), raw); !errors.Is(err, fault.Of(fault.InvalidToken)) {
		t.Errorf("a token of another issuer: %v", err)
	}
	second := tr.Verifiers([]*routing.TokenPolicy{a})
	if second["a"] != first["a"] || second["b"] != nil {
		t.Error("a policy that stayed has another verifier, or one that went still has one")
	}
	// Requests that began before the change still use the old verifiers, and after the next change too.
	tr.Verifiers([]*routing.TokenPolicy{a})
	if _, err := first["b"].Verify(t.Context(), raw); !errors.Is(err, fault.Of(fault.InvalidToken)) {
		t.Errorf("a retired verifier: %v", err)
	}
}

func TestTrust_KeysThatCantBeFetchedHarmTheirOwnPolicyOnly(t *testing.T) {
	issuer := tokentest.New(t)
	tr := start(t, issuer)
	broken := policy("broken", func(s *v1alpha1.TokenPolicySpec) { s.JWKS.URL = "http://127.0.0.1:1/keys" })
	verifiers := tr.Verifiers([]*routing.TokenPolicy{policy("good", nil), broken})
	wait(t, "ready although one key set can't be had", func() bool { return tr.Ready(t.Context()) == nil })
	raw := issuer.Mint()
	if _, err := verifiers["good"].Verify(t.Context(), raw); err != nil {
		t.Error(err)
	}
	if _, err := verifiers["broken"].Verify(t.Context(), raw); !errors.Is(err, fault.Of(fault.Unavailable)) {
		t.Errorf("got %v", err)
	}
}

func TestTrust_AKeySetNobodyNamesIsLeftAlone(t *testing.T) {
	issuer := tokentest.New(t)
	var fetches atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(other.Close)
	tr := start(t, issuer)
	tr.Verifiers([]*routing.TokenPolicy{policy("p", func(s *v1alpha1.TokenPolicySpec) { s.JWKS.URL = other.URL })})
	wait(t, "the key set is asked for", func() bool { return fetches.Load() > 1 })
	tr.Verifiers(nil)
	var last int64
	wait(t, "it is left alone", func() bool {
		before := fetches.Load()
		time.Sleep(200 * time.Millisecond)
		last = fetches.Load()
		return last == before
	})
}

func TestTrust_ModeIntrospectBelievesTheStore(t *testing.T) {
	issuer := tokentest.New(t)
	tr := start(t, issuer)
	v := tr.Verifiers([]*routing.TokenPolicy{policy("i", func(s *v1alpha1.TokenPolicySpec) { s.Revocation.Mode = v1alpha1.RevocationIntrospect })})
	wait(t, "ready", func() bool { return tr.Ready(t.Context()) == nil })
	if p, err := v["i"].Verify(t.Context(), issuer.Mint()); err != nil || p.UserID != "introspected" {
		t.Errorf("%+v %v", p, err)
	}
}
