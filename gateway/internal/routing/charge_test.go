package routing_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"

	"github.com/dunglas/httpsfv"
	"github.com/google/go-cmp/cmp"
)

// owed lists what a request is charged, in short: "policy.rule client:192.0.2.1".
func owed(rule *routing.Rule, stage routing.Stage, c routing.Caller) []string {
	var all []string
	for _, charge := range rule.Charges(nil, stage, &c) {
		all = append(all, charge.Rule.Label()+" "+charge.Key.String())
	}
	return all
}

func limitedRule(t *testing.T, auth ruleOption) *routing.Rule {
	t.Helper()
	table := compile(t,
		tokenPolicy("tp"),
		ratePolicy("p",
			rateRule("address", v1alpha1.KeyClient, 1, "1s"),
			rateRule("user", v1alpha1.KeySubject, 2, "1s"),
			rateRule("key", v1alpha1.KeyAPIKey, 3, "1s"),
			rateRule("tenant", v1alpha1.KeyHeader, 4, "1s")),
		route("r", rule("/*", auth, limited("p", "p"))))
	return table.Rules()[0]
}

func TestCharges_ByStage(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	stranger := routing.Caller{Addr: addr, Header: map[string][]string{"X-Tenant": {"acme"}}}
	person := routing.Caller{Addr: addr, Subject: "u1"}
	robot := routing.Caller{Addr: addr, Subject: "u1", APIKeyID: "k1"}

	closed := limitedRule(t, policy("tp"))
	for name, c := range map[string]struct{ got, want []string }{
		"strangers": {owed(closed, routing.BeforeAuth, stranger), []string{"p.address client:192.0.2.1", "p.tenant header:acme"}},
		"no header": {owed(closed, routing.BeforeAuth, person), []string{"p.address client:192.0.2.1", "p.tenant client:192.0.2.1"}},
		"person":    {owed(closed, routing.AfterAuth, person), []string{"p.user subject:u1", "p.key client:192.0.2.1"}},
		"robot":     {owed(closed, routing.AfterAuth, robot), []string{"p.user subject:u1", "p.key api_key:k1"}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	anyone := limitedRule(t, open)
	want := []string{"p.address client:192.0.2.1", "p.user client:192.0.2.1", "p.key client:192.0.2.1", "p.tenant header:acme"}
	if diff := cmp.Diff(want, owed(anyone, routing.BeforeAuth, stranger)); diff != "" {
		t.Errorf("anonymous (-want +got):\n%s", diff)
	}
	if got := owed(anyone, routing.AfterAuth, stranger); got != nil {
		t.Errorf("anonymous requests have nothing after authentication, got %v", got)
	}
}

func TestKey_ClientAddresses(t *testing.T) {
	rule := limitedRule(t, open)
	key := func(addr string) string {
		return strings.TrimPrefix(owed(rule, routing.BeforeAuth, routing.Caller{Addr: netip.MustParseAddr(addr)})[0], "p.address client:")
	}
	for addr, want := range map[string]string{
		"192.0.2.7":              "192.0.2.7",
		"::ffff:192.0.2.7":       "192.0.2.7",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::",
		"2001:db8:1:2:ffff::1":   "2001:db8:1:2::",
		"2001:db8:1:3::1":        "2001:db8:1:3::",
		"fe80::1%eth0":           "fe80::",
		"::ffff:192.0.2.7%zone0": "192.0.2.7",
	} {
		if got := key(addr); got != want {
			t.Errorf("%s is counted as %s, want %s", addr, got, want)
		}
	}
	if got := owed(rule, routing.BeforeAuth, routing.Caller{})[0]; got != "p.address client:invalid IP" {
		t.Errorf("an unknown address is counted as %q: all of them together", got)
	}
}

func TestKey_LongTextsAreBoundedAndStayApart(t *testing.T) {
	rule := limitedRule(t, open)
	key := func(value string) string {
		return owed(rule, routing.BeforeAuth, routing.Caller{Header: map[string][]string{"X-Tenant": {value}}})[3]
	}
	long := strings.Repeat("a", 60_000)
	if a, b := key(long+"a"), key(long+"b"); a == b || len(a) > 100 {
		t.Errorf("got %d bytes, apart: %v", len(a), a != b)
	}
}

func TestFields_AreStructuredLists(t *testing.T) {
	loud := &routing.LimitRule{Policy: "login", Name: "per-address", Limit: 10, Window: 90 * time.Second}
	half := &routing.LimitRule{Policy: "login", Name: "fast", Limit: 2, Window: 1500 * time.Millisecond}
	trial := &routing.LimitRule{Policy: "trial", Name: "x", Limit: 1, Window: time.Second, Shadow: true}
	quiet := &routing.LimitRule{Policy: "quiet", Name: "x", Limit: 1, Window: time.Second, Quiet: true}
	charges := []routing.Charge{{Rule: loud}, {Rule: trial}, {Rule: quiet}, {Rule: half}}
	verdicts := []routing.Verdict{
		{Allowed: true, Remaining: 7, ResetAfter: 2100 * time.Millisecond},
		{RetryAfter: time.Hour},
		{RetryAfter: 300 * time.Millisecond},
		{RetryAfter: 400 * time.Millisecond, ResetAfter: time.Second},
	}
	policyField := string(routing.AppendPolicyField(nil, charges))
	limitField := string(routing.AppendLimitField(nil, charges, verdicts))
	if want := `"login.per-address";q=10;w=90, "login.fast";q=2;w=2`; policyField != want {
		t.Errorf("RateLimit-Policy: %s\nwant %s", policyField, want)
	}
	if want := `"login.per-address";r=7;t=3, "login.fast";r=0;t=1`; limitField != want {
		t.Errorf("RateLimit: %s\nwant %s", limitField, want)
	}
	if continued := string(routing.AppendPolicyField([]byte(policyField), charges[:1])); continued != policyField+`, "login.per-address";q=10;w=90` {
		t.Errorf("a list is not continued: %s", continued)
	}
	for _, field := range []string{policyField, limitField} {
		list, err := httpsfv.UnmarshalList([]string{field})
		if err != nil || len(list) != 2 {
			t.Fatalf("%s: %v", field, err)
		}
		if item := list[0].(httpsfv.Item); item.Value != "login.per-address" {
			t.Errorf("%s: the first member is %v", field, item.Value)
		}
	}
	after, refused := routing.Refused(charges, verdicts)
	if !refused || after != 400*time.Millisecond {
		t.Errorf("refused %v after %s: want the longest of those that enforce", refused, after)
	}
	if _, refused := routing.Refused(charges[:2], verdicts[:2]); refused {
		t.Error("a shadow rule refused")
	}
}

func TestTarget_FollowsTheWeights(t *testing.T) {
	r := &routing.Rule{Backends: []routing.Backend{{Upstream: "auth", Weight: 1}, {Upstream: "files", Weight: 3}}}
	counts := map[string]int{}
	for i := range uint64(4000) {
		counts[r.Target(i)]++
	}
	if diff := cmp.Diff(map[string]int{"auth": 1000, "files": 3000}, counts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
