package browser

import (
	"fmt"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// A passkey as a page makes and shows it, by the browser's own forms of options and answers. The options' JSON is what the
// service sends, the credential what the service is sent: nothing is translated in between.
const (
	makePasskey = `(async o => (await navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(o)})).toJSON())(%s)`
	showPasskey = `(async o => (await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(o)})).toJSON())(%s)`
	signedBy    = `.then(c => JSON.stringify(c))`
)

// authenticator gives the browser one that knows its owner by a finger.
func (c *chromium) authenticator() {
	c.t.Helper()
	c.do("WebAuthn.enable", nil, nil)
	c.do("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
		"isUserVerified": true, "automaticPresenceSimulation": true,
	}}, nil)
}

// post is a call of the page's own script, in cookie mode, which must be answered with this status.
func (c *chromium) post(path, body string, status int) string {
	c.t.Helper()
	got := c.fetch(path, fmt.Sprintf(`{method: "POST", %s, body: %q}`, inCookies, body))
	if got.Status != status {
		c.t.Fatalf("POST %s: %+v, want %d", path, got, status)
	}
	return got.Body
}

// credential runs a ceremony over the public_key of an answer, and returns it as the field of a request.
func (c *chromium) credential(ceremony, answer string) string {
	c.t.Helper()
	var raw string
	c.run(fmt.Sprintf(ceremony, "JSON.parse("+quoted(answer)+").public_key")+signedBy, &raw)
	return `"credential":` + raw
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }

func TestChromium_RegistersAPasskeyAndLogsInWithItAlone(t *testing.T) {
	stack := harness.Start(t)
	c := openChromium(t)
	c.open(strings.Replace(stack.Public, "127.0.0.1", "localhost", 1) + "/livez")
	c.authenticator()
	name := harness.NewUsername()
	c.post("/v1/auth/signup", fmt.Sprintf(`{"username":%q,"password":%q}`, name, harness.Password), 201)

	begun := c.post("/v1/auth/factors", `{"type":"passkey","name":"Chromium"}`, 201)
	_, rest, _ := strings.Cut(begun, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	c.post("/v1/auth/factors/"+id+"/confirm", "{"+c.credential(makePasskey, begun)+"}", 200)
	c.post("/v1/auth/logout", "{}", 204)
	if got := c.fetch("/v1/users/me", "{}"); got.Status != 401 {
		t.Fatalf("after the logout: %+v", got)
	}

	answer := c.credential(showPasskey, c.post("/v1/auth/login/passkey/options", "{}", 200))
	if in := c.post("/v1/auth/login/passkey", "{"+answer+"}", 200); !strings.Contains(in, name) {
		t.Errorf("in came %s", in)
	}
	if got := c.fetch("/v1/auth/session", "{}"); got.Status != 200 || !strings.Contains(got.Body, `"proved_by":"factor"`) {
		t.Errorf("the session: %+v", got)
	}
	c.post("/v1/auth/login/passkey", "{"+answer+"}", 401) // once is all

	c.post("/v1/auth/step-up", "{"+c.credential(showPasskey, c.post("/v1/auth/step-up/options", "{}", 200))+"}", 200)
	c.post("/v1/auth/logout", "{}", 204)
	half := c.post("/v1/auth/login", fmt.Sprintf(`{"identifier":%q,"password":%q}`, name, harness.Password), 202)
	var challenge string
	c.run("JSON.stringify(JSON.parse("+quoted(half)+").challenge)", &challenge)
	_, rest, _ = strings.Cut(challenge, `"token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	c.post("/v1/auth/login/factor", fmt.Sprintf(`{"challenge_token":%q,%s}`, token, c.credential(showPasskey, challenge)), 200)
}
