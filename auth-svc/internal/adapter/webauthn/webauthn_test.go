package webauthn_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/webauthntest"

	"cloakroom.dev/auth-svc/internal/adapter/webauthn"
	"cloakroom.dev/auth-svc/internal/identity"
)

const origin, site = "https://auth.example.org", "example.org"

// ceremony is an adapter and a key that fit.
type ceremony struct {
	*webauthn.Adapter
	t   *testing.T
	key *webauthntest.Key
}

func begin(t *testing.T) *ceremony {
	t.Helper()
	a, err := webauthn.New(webauthn.Site{ID: site, Name: "Test", Origins: []string{origin, "https://app.example.org:8443"}})
	if err != nil {
		t.Fatal(err)
	}
	return &ceremony{a, t, webauthntest.New(t, origin, site)}
}

func newChallenge() string {
	b := make([]byte, 40)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

var ada = identity.PasskeyOwner{Handle: []byte("0123456789abcdef"), Name: "ada"}

func (c *ceremony) create() (identity.Passkey, error) {
	c.t.Helper()
	return c.createAs(false)
}

// createAs makes a passkey, or with alone one that is to be the only way in.
func (c *ceremony) createAs(alone bool) (identity.Passkey, error) {
	c.t.Helper()
	challenge := newChallenge()
	options, err := c.CreationOptions(challenge, ada, nil, alone)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.Created(challenge, ada, alone, c.key.Create(options))
}

func (c *ceremony) created() identity.Passkey {
	c.t.Helper()
	p, err := c.create()
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (c *ceremony) answer(p identity.Passkey, verify bool) (uint32, error) {
	c.t.Helper()
	challenge := newChallenge()
	options, err := c.RequestOptions(challenge, []identity.Passkey{p}, verify)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.Answered(challenge, p, verify, c.key.Answer(options))
}

func TestCeremony(t *testing.T) {
	c := begin(t)
	p := c.created()
	if string(p.CredentialID) != string(c.key.ID) || len(p.Transports) != 1 || p.Transports[0] != "internal" {
		t.Errorf("made %+v", p)
	}
	for want := uint32(2); want < 5; want++ {
		if n, err := c.answer(p, true); n != want || err != nil {
			t.Errorf("answer %d: %d, %v", want, n, err)
		}
	}
	c.key.Origin = "https://app.example.org:8443"
	if _, err := c.answer(p, true); err != nil {
		t.Errorf("from the other origin: %v", err)
	}
	c.key.Flags = webauthntest.FlagPresent
	if _, err := c.answer(p, false); err != nil {
		t.Errorf("without a PIN, where none is needed: %v", err)
	}
}

func TestCreated_TheOnlyWayInMustHaveSeenItsOwner(t *testing.T) {
	c := begin(t)
	if _, err := c.createAs(true); err != nil {
		t.Fatal(err)
	}
	c.key = webauthntest.New(t, origin, site)
	c.key.Flags = webauthntest.FlagPresent
	if _, err := c.createAs(false); err != nil {
		t.Errorf("as a second factor: %v", err)
	}
	if p, err := c.createAs(true); fault.KindOf(err) != fault.InvalidCredentials {
		t.Errorf("made %+v, %v", p, err)
	}
	options, err := c.CreationOptions(newChallenge(), ada, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"residentKey":"required"`, `"requireResidentKey":true`, `"userVerification":"required"`} {
		if !strings.Contains(string(options), want) {
			t.Errorf("asked without %s: %s", want, options)
		}
	}
}

func TestOptions_AskAsConfigured(t *testing.T) {
	c := begin(t)
	p := c.created()
	creation, err := c.CreationOptions(newChallenge(), ada, []identity.Passkey{p}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"rp":{"name":"Test","id":"example.org"}`, `"attestation":"none"`, `"alg":-7`, `"alg":-8`, `"alg":-257`, `"excludeCredentials":[{`} {
		if !strings.Contains(string(creation), want) {
			t.Errorf("creation options lack %s: %s", want, creation)
		}
	}
	if strings.Count(string(creation), `"alg"`) != 3 {
		t.Errorf("other algorithms are asked for: %s", creation)
	}
	request, err := c.RequestOptions(newChallenge(), nil, true)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(request, &got); err != nil || got["rpId"] != site || got["userVerification"] != "required" || got["allowCredentials"] != nil {
		t.Errorf("request options: %s", request)
	}
}

// bent are ways in which an answer is wrong, both when a passkey is made and when it is shown.
var bent = map[string]func(k *webauthntest.Key){
	"a foreign origin":   func(k *webauthntest.Key) { k.Origin = "https://auth.example.org.evil.net" },
	"a lower domain":     func(k *webauthntest.Key) { k.Origin = "https://evil.auth.example.org" },
	"plain http":         func(k *webauthntest.Key) { k.Origin = "http://auth.example.org" },
	"another port":       func(k *webauthntest.Key) { k.Origin = origin + ":444" },
	"no origin":          func(k *webauthntest.Key) { k.Origin = "" },
	"a foreign site":     func(k *webauthntest.Key) { k.RPID = "evil.net" },
	"nobody present":     func(k *webauthntest.Key) { k.Flags = webauthntest.FlagVerified },
	"another challenge":  func(k *webauthntest.Key) { k.ClientData = func(d map[string]any) { d["challenge"] = newChallenge() } },
	"no challenge":       func(k *webauthntest.Key) { k.ClientData = func(d map[string]any) { delete(d, "challenge") } },
	"another ceremony":   func(k *webauthntest.Key) { k.ClientData = func(d map[string]any) { d["type"] = "payment.get" } },
	"inside a frame":     func(k *webauthntest.Key) { k.ClientData = func(d map[string]any) { d["crossOrigin"] = true } },
	"cut data":           func(k *webauthntest.Key) { k.AuthData = func(b []byte) []byte { return b[:len(b)-1] } },
	"more data":          func(k *webauthntest.Key) { k.AuthData = func(b []byte) []byte { return append(b, 0) } },
	"no data":            func(k *webauthntest.Key) { k.AuthData = func([]byte) []byte { return nil } },
	"not base64":         func(k *webauthntest.Key) { k.Signed = func(r map[string]any) { r["clientDataJSON"] = "%%%" } },
	"client data absent": func(k *webauthntest.Key) { k.Signed = func(r map[string]any) { delete(r, "clientDataJSON") } },
}

func TestCreated_RefusesWhatIsBent(t *testing.T) {
	for name, bend := range bent {
		t.Run(name, func(t *testing.T) {
			c := begin(t)
			bend(c.key)
			p, err := c.create()
			refused(t, err)
			if p.PublicKey != nil {
				t.Error("a refused passkey is there")
			}
		})
	}
}

func TestCreated_RefusesOtherKeys(t *testing.T) {
	for name, cose := range map[string]func(k *webauthntest.Key) []byte{
		"ES256K":         func(k *webauthntest.Key) []byte { return webauthntest.COSE(t, k.Public(), -47) },
		"HS256":          func(k *webauthntest.Key) []byte { return webauthntest.COSE(t, k.Public(), -1) },
		"an EC as EdDSA": func(k *webauthntest.Key) []byte { return webauthntest.COSE(t, k.Public(), -8) },
		"an EC as RS256": func(k *webauthntest.Key) []byte { return webauthntest.COSE(t, k.Public(), -257) },
		"RS1":            func(k *webauthntest.Key) []byte { return webauthntest.COSE(t, k.Public(), -65535) },
		"none":           func(*webauthntest.Key) []byte { return []byte{0xa0} },
		"a point off the curve": func(k *webauthntest.Key) []byte {
			b := webauthntest.COSE(t, k.Public(), -7)
			b[len(b)-1] ^= 1
			return b
		},
		"another curve": func(k *webauthntest.Key) []byte {
			b := webauthntest.COSE(t, k.Public(), -7)
			b[6] = 8 // secp256k1
			return b
		},
		"not CBOR": func(*webauthntest.Key) []byte { return []byte{0xff, 0xff} },
	} {
		t.Run(name, func(t *testing.T) {
			c := begin(t)
			c.key.PublicKey = cose(c.key)
			_, err := c.create()
			refused(t, err)
		})
	}
}

func TestAnswered_RefusesWhatIsBent(t *testing.T) {
	for name, bend := range bent {
		t.Run(name, func(t *testing.T) {
			c := begin(t)
			p := c.created()
			bend(c.key)
			_, err := c.answer(p, true)
			refused(t, err)
		})
	}
	for name, bend := range map[string]func(c *ceremony, p *identity.Passkey){
		"not verified": func(c *ceremony, _ *identity.Passkey) { c.key.Flags = webauthntest.FlagPresent },
		"another key": func(c *ceremony, _ *identity.Passkey) {
			id := c.key.ID
			c.key = webauthntest.New(c.t, origin, site)
			c.key.ID = id
		},
		"an unknown key":    func(_ *ceremony, p *identity.Passkey) { *p = identity.Passkey{} },
		"another id":        func(c *ceremony, _ *identity.Passkey) { c.key.ID = []byte("another") },
		"no signature":      func(c *ceremony, _ *identity.Passkey) { c.key.Signed = func(r map[string]any) { r["signature"] = "" } },
		"tampered data":     func(c *ceremony, _ *identity.Passkey) { c.key.Signed = tamper("authenticatorData", 36) },
		"tampered client":   func(c *ceremony, _ *identity.Passkey) { c.key.Signed = tamper("clientDataJSON", 2) },
		"tampered signed":   func(c *ceremony, _ *identity.Passkey) { c.key.Signed = tamper("signature", 40) },
		"backup flag moved": func(c *ceremony, _ *identity.Passkey) { c.key.Flags |= 0x08 },
		"backed up alone":   func(c *ceremony, _ *identity.Passkey) { c.key.Flags |= 0x10 },
	} {
		t.Run(name, func(t *testing.T) {
			c := begin(t)
			p := c.created()
			bend(c, &p)
			_, err := c.answer(p, true)
			refused(t, err)
		})
	}
}

// tamper flips a bit of what has been signed.
func tamper(field string, at int) func(map[string]any) {
	return func(r map[string]any) {
		b, _ := base64.RawURLEncoding.DecodeString(r[field].(string))
		b[at] ^= 1
		r[field] = base64.RawURLEncoding.EncodeToString(b)
	}
}

func TestRead_RefusesNonsense(t *testing.T) {
	c := begin(t)
	for _, raw := range []string{"", "{}", "null", "[]", `{"id":"AA","rawId":"AA","type":"public-key"}`, `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`, strings.Repeat("[", 100_000)} {
		_, err := c.ReadAnswer([]byte(raw))
		refused(t, err)
		_, err = c.ReadCreated([]byte(raw))
		refused(t, err)
	}
}

func TestNew_NeedsADomain(t *testing.T) {
	for _, id := range []string{"", "192.0.2.1", "::1", "https://example.org"} {
		if _, err := webauthn.New(webauthn.Site{ID: id, Name: "Test", Origins: []string{origin}}); err == nil {
			t.Errorf("%q was taken for a domain", id)
		}
	}
}

func refused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, fault.Of(fault.InvalidCredentials)) {
		t.Errorf("got %v, want a refusal", err)
	}
}
