package gateway_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/libs/token/tokentest"
)

func stalenessRoutes(revocation string) string {
	return fmt.Sprintf(`
apiVersion: cloakroom.dev/v1alpha1
kind: TokenPolicy
metadata: {name: default}
spec:
  issuer: https://auth.test
  audiences: [cloakroom]
  revocation: {%s}
---
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: all}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /closed}}]
    auth: {tokenPolicyRef: {name: default}}
    backends: [{name: files}]
  - matches: [{path: {type: PathPrefix, value: /open}}]
    auth: {anonymous: {reason: a test of what needs no token}}
    backends: [{name: files}]
`, revocation)
}

// patientRoutes are closed as well, to those who put up with an older view.
const patientRoutes = `
apiVersion: cloakroom.dev/v1alpha1
kind: TokenPolicy
metadata: {name: patient}
spec:
  issuer: https://auth.test
  audiences: [cloakroom]
  revocation: {mode: Log, maxStaleness: 60s, onUnavailable: Deny}
---
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: patient}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /patient}}]
    auth: {tokenPolicyRef: {name: patient}}
    backends: [{name: files}]
`

const person = `{"user_id":"u-9","session_id":"s-9","token_id":"j","key_id":"k","roles":["guest"],"permissions":["files:read:self"],"epoch":0,` +
	`"issued_at":"2026-01-01T00:00:00.000000Z","expires_at":"2036-01-01T00:00:00.000000Z"}`

func TestStaleness_DenyAnswers503UntilTheLogIsHeardAgain(t *testing.T) {
	w := start(t, setup{resources: []string{stalenessRoutes("mode: Log, maxStaleness: 2s, onUnavailable: Deny"), patientRoutes}})
	raw := w.issuer.Mint()
	w.want(w.get("/closed", bearer(raw)), 200, "")
	w.issuer.Stall()
	eventually(t, "the gateway refuses what it can't check", func() bool { return w.get("/closed", bearer(raw)).status == 503 })
	w.want(w.get("/patient", bearer(raw)), 200, "") // each policy by its own measure
	a := w.get("/closed", bearer(raw))
	w.want(a, 503, "UNAVAILABLE")
	if a.header.Get("Retry-After") == "" {
		t.Error("no word on when to come back")
	}
	w.want(w.get("/open"), 200, "")
	w.want(w.get("/closed", "Authorization: Bearer forged"), 401, "INVALID_TOKEN")
	w.issuer.Recover()
	eventually(t, "it serves again", func() bool { return w.get("/closed", bearer(raw)).status == 200 })
}

func TestStaleness_IntrospectAsksAboutEachRequest(t *testing.T) {
	w := start(t, setup{resources: []string{stalenessRoutes("mode: Log, maxStaleness: 2s, onUnavailable: Introspect")}})
	var asked atomic.Int64
	var refuse atomic.Bool
	introspect := func(string) (int, string) {
		asked.Add(1)
		if refuse.Load() {
			return 401, `{"code":"INVALID_TOKEN"}`
		}
		return 200, person
	}
	w.introspect.Store(&introspect)
	raw := w.issuer.Mint()
	w.want(w.get("/closed", bearer(raw)), 200, "")
	if asked.Load() != 0 {
		t.Error("asked although the log is heard")
	}
	w.issuer.Stall() // the log is silent; introspection is played beside the issuer and still answers
	eventually(t, "the gateway begins to ask", func() bool {
		w.want(w.get("/closed", bearer(raw)), 200, "")
		time.Sleep(20 * time.Millisecond)
		return asked.Load() > 0
	})
	before := asked.Load()
	for range 5 {
		w.want(w.get("/closed", bearer(raw)), 200, "")
	}
	if n := asked.Load() - before; n != 5 {
		t.Errorf("asked %d times about 5 requests", n)
	}
	refuse.Store(true)
	w.want(w.get("/closed", bearer(raw)), 401, "INVALID_TOKEN")
	w.introspect.Store(nil)
	w.want(w.get("/closed", bearer(raw)), 503, "UNAVAILABLE")
	w.issuer.Recover()
}

func TestStaleness_ModeIntrospectAlwaysAsks(t *testing.T) {
	w := start(t, setup{resources: []string{stalenessRoutes("mode: Introspect, onUnavailable: Deny")}})
	var asked atomic.Int64
	introspect := func(string) (int, string) { asked.Add(1); return 200, person }
	w.introspect.Store(&introspect)
	raw := w.issuer.Mint(tokentest.Subject("u-1"))
	for range 3 {
		w.want(w.get("/closed", bearer(raw)), 200, "")
	}
	if asked.Load() != 3 {
		t.Errorf("asked %d times about 3 requests", asked.Load())
	}
	forged := raw[:strings.LastIndexByte(raw, '.')] + ".AAAA"
	w.want(w.get("/closed", bearer(forged)), 401, "INVALID_TOKEN")
	if asked.Load() != 3 {
		t.Error("asked about a token that does not verify")
	}
	w.introspect.Store(nil)
	w.want(w.get("/closed", bearer(raw)), 503, "UNAVAILABLE")
}

func TestStaleness_ReadyWaitsForKeysAndTheLog(t *testing.T) {
	w := start(t, setup{})
	if err := w.service.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	w.want(w.get("/readyz"), 200, "")
	w.issuer.Down()
	w.want(w.get("/readyz"), 200, "") // losing the auth service must not take every gateway out of service
}
