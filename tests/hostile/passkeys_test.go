package hostile

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"cloakroom.dev/libs/webauthntest"

	"cloakroom.dev/tests/harness"
)

// holder is a person with a passkey, signed in.
type holder struct {
	*harness.Client
	key *webauthntest.Key
}

type asked struct {
	Factor struct {
		ID string `json:"id"`
	} `json:"factor"`
	PublicKey json.RawMessage `json:"public_key"`
}

// enrol begins a passkey.
func enrol(c *harness.Client) (e asked) {
	c.Do("POST", "/v1/auth/factors", fields{"type": "passkey", "name": "key"}).Is(201).JSON(&e)
	return e
}

func confirm(c *harness.Client, e asked, answer json.RawMessage) *harness.Answer {
	return c.Do("POST", "/v1/auth/factors/"+e.Factor.ID+"/confirm", fields{"credential": answer})
}

func newKey(t *testing.T, c *harness.Client) *webauthntest.Key {
	return webauthntest.New(t, c.Base, "localhost")
}

func withPasskey(t *testing.T, c *harness.Client, set ...func(*webauthntest.Key)) *holder {
	t.Helper()
	h := &holder{Client: c.SignUp()}
	h.key = newKey(t, h.Client)
	for _, s := range set {
		s(h.key)
	}
	e := enrol(h.Client)
	confirm(h.Client, e, h.key.Create(e.PublicKey)).Is(200)
	return h
}

// countless is a key that does not count, so that only the challenge stands in the way of a replay.
func countless(k *webauthntest.Key) { k.Count = 0 }

func ask(c *harness.Client, path string) json.RawMessage {
	var a asked
	c.Do("POST", path, nil).Is(200).JSON(&a)
	return a.PublicKey
}

// question is what a login by passkey alone begins with.
func (h *holder) question() json.RawMessage {
	return ask(h.Fresh(), "/v1/auth/login/passkey/options")
}

func (h *holder) show(answer json.RawMessage) *harness.Answer {
	return h.Fresh().Do("POST", "/v1/auth/login/passkey", fields{"credential": answer})
}

// comeIn logs in by the key alone.
func (h *holder) comeIn() *harness.Answer { return h.show(h.key.Answer(h.question())) }

// half shows the password.
func (h *holder) half() (token string, publicKey json.RawMessage) {
	var body struct {
		Challenge struct {
			Token     string          `json:"token"`
			PublicKey json.RawMessage `json:"public_key"`
		} `json:"challenge"`
	}
	h.Fresh().Do("POST", "/v1/auth/login", fields{"identifier": h.User.Username, "password": harness.Password}).Is(202).JSON(&body)
	return body.Challenge.Token, body.Challenge.PublicKey
}

func (h *holder) second(token string, answer json.RawMessage) *harness.Answer {
	return h.Fresh().Do("POST", "/v1/auth/login/factor", fields{"challenge_token": token, "credential": answer})
}

func TestPasskey_EveryWayIn(t *testing.T) {
	ada := withPasskey(t, gateway(t))
	var in struct {
		User    harness.User    `json:"user"`
		Session harness.Session `json:"session"`
	}
	ada.comeIn().Is(200).JSON(&in)
	if in.User.ID != ada.User.ID {
		t.Errorf("in came %+v", in.User)
	}
	var check struct {
		Factors  []string `json:"factors"`
		ProvedBy string   `json:"proved_by"`
	}
	fresh := ada.Fresh()
	fresh.Session = in.Session
	fresh.Do("GET", "/v1/auth/session", nil).Is(200).JSON(&check)
	if len(check.Factors) != 1 || check.Factors[0] != "passkey" || check.ProvedBy != "factor" {
		t.Errorf("the session says %+v", check)
	}
	token, publicKey := ada.half()
	ada.second(token, ada.key.Answer(publicKey)).Is(200)
	ada.Do("POST", "/v1/auth/step-up", fields{"credential": ada.key.Answer(ask(ada.Client, "/v1/auth/step-up/options"))}).Is(200)

	var list struct {
		Items []struct {
			ID, Type, Name string
			LastUsedAt     string `json:"last_used_at"`
		} `json:"items"`
	}
	fresh.Do("GET", "/v1/auth/factors", nil).Is(200).JSON(&list)
	if len(list.Items) != 1 || list.Items[0].Type != "passkey" || list.Items[0].LastUsedAt == "" {
		t.Fatalf("listed %+v", list)
	}
	path := "/v1/auth/factors/" + list.Items[0].ID
	fresh.Do("PATCH", path, fields{"name": "blue"}).Is(200)
	export := fresh.Do("GET", "/v1/users/me/export", nil).Is(200)
	if !strings.Contains(string(export.Body), `"name":"blue"`) || strings.Contains(string(export.Body), base64.RawURLEncoding.EncodeToString(ada.key.ID)) {
		t.Error("the export lacks the factor, or tells too much")
	}
	fresh.Do("DELETE", path, nil).Is(204)
	ada.comeIn().Refused(401, "INVALID_CREDENTIALS")
}

func TestPasskey_ReplayedAssertion(t *testing.T) {
	ada := withPasskey(t, gateway(t), countless)
	answer := ada.key.Answer(ada.question())
	ada.show(answer).Is(200)
	ada.show(answer).Refused(401, "INVALID_CREDENTIALS")
	answer = ada.key.Answer(ada.question())
	got := atOnce(8, func(int) int {
		return ada.Fresh().Try("POST", "/v1/auth/login/passkey", fields{"credential": answer}).Status
	})
	if got[200] != 1 || got[401] != 7 {
		t.Errorf("one answer, eight times at once: %v", got)
	}
}

// bent is what the browser or a thief might change.
var bent = map[string]func(k *webauthntest.Key){
	"foreign origin":    func(k *webauthntest.Key) { k.Origin = "https://evil.example" },
	"origin by another": func(k *webauthntest.Key) { k.Origin = strings.Replace(k.Origin, "localhost", "127.0.0.1", 1) },
	"foreign RP ID":     func(k *webauthntest.Key) { k.RPID = "evil.example" },
	"wrong challenge": func(k *webauthntest.Key) {
		k.ClientData = func(d map[string]any) { d["challenge"] = base64.RawURLEncoding.EncodeToString(make([]byte, 59)) }
	},
	"wrong ceremony": func(k *webauthntest.Key) {
		k.ClientData = func(d map[string]any) { d["type"] = "webauthn.other" }
	},
	"tampered client data": func(k *webauthntest.Key) {
		k.Signed = func(r map[string]any) {
			b, _ := base64.RawURLEncoding.DecodeString(r["clientDataJSON"].(string))
			r["clientDataJSON"] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(b), `"crossOrigin":false`, `"crossOrigin":true`, 1)))
		}
	},
	"nobody present": func(k *webauthntest.Key) { k.Flags = 0 },
}

func TestPasskey_BentAnswersAreRefusedAlike(t *testing.T) {
	ada := withPasskey(t, gateway(t), countless)
	good := *ada.key
	want := ada.show(webauthntest.New(t, ada.Base, "localhost").Answer(ada.question())).Refused(401, "INVALID_CREDENTIALS").Detail
	bends := map[string]func(k *webauthntest.Key){
		"user verification missing": func(k *webauthntest.Key) { k.Flags = webauthntest.FlagPresent },
		"another's name":            func(k *webauthntest.Key) { k.Handle = make([]byte, 16) },
		"no name":                   func(k *webauthntest.Key) { k.Handle = nil },
		"another signature": func(k *webauthntest.Key) {
			k.Signed = func(r map[string]any) { r["signature"] = "MEUCIQ" + strings.Repeat("A", 90) }
		},
	}
	for name, bend := range bent {
		bends[name] = bend
	}
	for name, bend := range bends {
		t.Run(name, func(t *testing.T) {
			key := good
			bend(&key)
			if p := ada.show(key.Answer(ada.question())).Refused(401, "INVALID_CREDENTIALS"); p.Detail != want {
				t.Errorf("is told apart: %q, else %q", p.Detail, want)
			}
		})
	}
	ada.comeIn().Is(200)
}

func TestPasskey_BentRegistrations(t *testing.T) {
	ada := gateway(t).SignUp()
	bends := map[string]func(k *webauthntest.Key){
		"ES256K": func(k *webauthntest.Key) { k.PublicKey = webauthntest.COSE(t, k.Public(), -47) },
		"none":   func(k *webauthntest.Key) { k.PublicKey = []byte{0xa0} },
		"cut":    func(k *webauthntest.Key) { k.AuthData = func(b []byte) []byte { return b[:60] } },
	}
	for name, bend := range bent {
		bends[name] = bend
	}
	for name, bend := range bends {
		t.Run(name, func(t *testing.T) {
			e, key := enrol(ada), newKey(t, ada)
			bend(key)
			confirm(ada, e, key.Create(e.PublicKey)).Refused(401, "INVALID_CREDENTIALS")
		})
	}
	ada.LogIn(ada.User.Username, harness.Password) // nothing of it guards anybody
}

func TestPasskey_ChallengeOfAnotherPurposeOrPerson(t *testing.T) {
	ada := withPasskey(t, gateway(t), countless)
	bob := withPasskey(t, ada.Client, countless)
	token, publicKey := ada.half()
	other, otherKey := ada.half()
	stepUp := func(h *holder) json.RawMessage { return ask(h.Client, "/v1/auth/step-up/options") }
	try := func(c *harness.Client, answer json.RawMessage) *harness.Answer {
		return c.Do("POST", "/v1/auth/step-up", fields{"credential": answer})
	}
	e := enrol(ada.Client)
	for _, answer := range []json.RawMessage{ada.key.Answer(publicKey), ada.key.Answer(stepUp(ada)), ada.key.Answer(e.PublicKey)} {
		ada.show(answer).Refused(401, "INVALID_CREDENTIALS")
	}
	ada.second(token, ada.key.Answer(ada.question())).Refused(401, "INVALID_CREDENTIALS")
	ada.second(token, ada.key.Answer(otherKey)).Refused(401, "INVALID_CREDENTIALS")
	ada.second(token, bob.key.Answer(publicKey)).Refused(401, "INVALID_CREDENTIALS") // the credential of another person
	try(ada.Client, ada.key.Answer(stepUp(bob))).Refused(401, "INVALID_CREDENTIALS")
	try(ada.Client, bob.key.Answer(stepUp(ada))).Refused(401, "INVALID_CREDENTIALS")
	try(ada.Client, ada.key.Answer(ada.question())).Refused(401, "INVALID_CREDENTIALS")
	confirm(ada.Client, e, newKey(t, ada.Client).Create(ada.question())).Refused(401, "INVALID_CREDENTIALS")
	bobs := enrol(bob.Client)
	confirm(bob.Client, bobs, newKey(t, bob.Client).Create(e.PublicKey)).Refused(401, "INVALID_CREDENTIALS")
	confirm(bob.Client, bobs, ada.key.Clone().Create(bobs.PublicKey)).Refused(409, "CONFLICT") // a key that is somebody's
	ada.second(other, ada.key.Answer(otherKey)).Is(200)
	ada.comeIn().Is(200)
}

func TestPasskey_CounterRegress(t *testing.T) {
	ada := withPasskey(t, gateway(t))
	twin := ada.key.Clone()
	ada.comeIn().Is(200)
	ada.show(twin.Answer(ada.question())).Refused(401, "INVALID_CREDENTIALS")
	ada.comeIn().Is(200)
}

func TestPasskey_StepUpThenReplayOfTheRefreshTokenOfBefore(t *testing.T) {
	ada := withPasskey(t, gateway(t))
	before := *ada.Client
	var after struct {
		Session harness.Session `json:"session"`
	}
	ada.Do("POST", "/v1/auth/step-up", fields{"credential": ada.key.Answer(ask(ada.Client, "/v1/auth/step-up/options"))}).Is(200).JSON(&after)
	ada.Session = after.Session
	before.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
	ada.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
}

func TestPasskey_NonsenseAndLargeBodies(t *testing.T) {
	ada := withPasskey(t, gateway(t))
	for _, c := range []struct {
		body   any
		status int
		code   string
	}{
		{fields{"credential": "text"}, 400, "VALIDATION_ERROR"},
		{fields{}, 400, "VALIDATION_ERROR"},
		{fields{"credential": fields{}, "user_id": ada.User.ID}, 400, "VALIDATION_ERROR"},
		{fields{"credential": fields{}}, 401, "INVALID_CREDENTIALS"},
		{fields{"credential": fields{"id": strings.Repeat("A", 40_000)}}, 401, "INVALID_CREDENTIALS"},
		{fields{"credential": fields{"id": strings.Repeat("A", 1<<20)}}, 413, "PAYLOAD_TOO_LARGE"},
	} {
		ada.Fresh().Do("POST", "/v1/auth/login/passkey", c.body).Refused(c.status, c.code)
	}
	e := enrol(ada.Client)
	large := ada.Do("POST", "/v1/auth/factors/"+e.Factor.ID+"/confirm", fields{"credential": fields{"id": strings.Repeat("A", 1<<20)}})
	large.Refused(413, "PAYLOAD_TOO_LARGE")
}

// The site is configured: what a request says of itself has no say.
func TestPasskey_HostHeadersDoNotMoveTheSite(t *testing.T) {
	ada := gateway(t)
	var o struct {
		PublicKey struct {
			RPID string `json:"rpId"`
		} `json:"public_key"`
	}
	ada.Do("POST", "/v1/auth/login/passkey/options", nil, func(r *http.Request) {
		r.Host = "evil.example"
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("Origin", "https://evil.example")
	}).Is(200).JSON(&o)
	if o.PublicKey.RPID != "localhost" {
		t.Errorf("asks for passkeys of %q", o.PublicKey.RPID)
	}
}

func TestFactors_OnlyWhoMayCanResetThem(t *testing.T) {
	ada := withPasskey(t, gateway(t))
	bob := ada.SignUp()
	path := "/v1/users/" + ada.User.ID + "/factors"
	bob.Do("GET", path, nil).Refused(403, "FORBIDDEN")
	bob.Do("DELETE", path, nil).Refused(403, "FORBIDDEN")
	ada.Do("DELETE", path, nil).Refused(403, "FORBIDDEN") // one's own are removed one by one
	ada.Do("GET", path, nil).Is(200)
	ada.Fresh().Do("DELETE", path, nil).Refused(401, "AUTH_ERROR")
	ada.comeIn().Is(200)
}
