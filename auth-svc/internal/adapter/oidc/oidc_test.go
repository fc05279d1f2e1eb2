package oidc

import (
	"crypto/sha512"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
)

func TestRedeem_TakesWhatTheProviderSaysOfSomebody(t *testing.T) {
	o := newOther(t)
	o.idToken = o.keys[0].sign(o.good())
	got, err := relyOn(t, o).redeem(t)
	want := identity.ProviderClaims{Subject: "ada", Email: "ada@example.org", EmailVerified: true, Name: "Ada"}
	if err != nil || got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
}

// with is a good set of claims but for some; nil takes one away.
func with(c, change claims) claims {
	c = maps.Clone(c)
	for name, v := range change {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func TestRedeem_ClaimsThatProveNothing(t *testing.T) {
	for name, change := range map[string]claims{
		"another issuer":                 {"iss": "https://elsewhere.example"},
		"the issuer with a slash":        {"iss": "SLASH"},
		"no issuer":                      {"iss": nil},
		"the exception for Google":       {"iss": "accounts.google.com"},
		"another nonce":                  {"nonce": "another"},
		"no nonce":                       {"nonce": nil},
		"an empty nonce":                 {"nonce": ""},
		"expired":                        {"exp": time.Now().Add(-time.Minute).Unix()},
		"never expires":                  {"exp": nil},
		"not yet good":                   {"nbf": time.Now().Add(time.Hour).Unix()},
		"for somebody else":              {"aud": "another client"},
		"for nobody":                     {"aud": nil},
		"for us and others, no party":    {"aud": []string{clientID, "another"}},
		"for us and others, their party": {"aud": []string{clientID, "another"}, "azp": "another"},
		"for us, somebody else's party":  {"azp": "another"},
		"a party that is no word":        {"azp": []string{clientID}},
		"no subject":                     {"sub": nil},
		"an empty subject":               {"sub": ""},
		"a subject with a line":          {"sub": "ada\nroot"},
		"a subject without end":          {"sub": strings.Repeat("a", maxSubjectBytes+1)},
		"a subject in two spellings":     {"\u017fub": "mallory"}, // Go's JSON folds the long s
		"of another access token":        {"at_hash": text(make([]byte, 32))},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOther(t)
			if change["iss"] == "SLASH" {
				change["iss"] = o.URL + "/"
			}
			o.idToken = o.keys[0].sign(with(o.good(), change))
			r := relyOn(t, o)
			got, err := r.redeem(t)
			if !errors.Is(err, fault.Of(fault.InvalidCredentials)) || got != (identity.ProviderClaims{}) {
				t.Errorf("got %+v, %v", got, err)
			}
			if strings.Contains(r.log.String(), clientSecret) || strings.Contains(r.log.String(), o.idToken) {
				t.Error("the log holds a secret")
			}
		})
	}
}

func TestRedeem_SignaturesThatProveNothing(t *testing.T) {
	for name, forge := range map[string]func(o *other) string{
		"none":                       func(o *other) string { return unsigned("none", o.good()) },
		"NonE":                       func(o *other) string { return unsigned("NonE", o.good()) },
		"no algorithm":               func(o *other) string { return unsigned("", o.good()) },
		"HS256 with the public key":  func(o *other) string { return signedByHMAC(o.keys[0], o.good()) },
		"another key under that kid": func(o *other) string { return newSigner("first").sign(o.good()) },
		"a kid that nobody knows":    func(o *other) string { return newSigner("unknown").sign(o.good()) },
		"no token":                   func(*other) string { return "" },
		"no JWT":                     func(*other) string { return "ada" },
		"five parts":                 func(o *other) string { return o.keys[0].sign(o.good()) + ".a.b" },
		"too long": func(o *other) string {
			return o.keys[0].sign(with(o.good(), claims{"x": strings.Repeat("a", maxIDTokenBytes)}))
		},
		"claims changed": func(o *other) string {
			p := strings.Split(o.keys[0].sign(o.good()), ".")
			return p[0] + "." + part(with(o.good(), claims{"sub": "root"})) + "." + p[2]
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOther(t)
			o.idToken = forge(o)
			if got, err := relyOn(t, o).redeem(t); !errors.Is(err, fault.Of(fault.InvalidCredentials)) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestRedeem_SeveralAudiencesWhenWeAreTheParty(t *testing.T) {
	o := newOther(t)
	o.idToken = o.keys[0].sign(with(o.good(), claims{"aud": []string{"another", clientID}, "azp": clientID}))
	if _, err := relyOn(t, o).redeem(t); err != nil {
		t.Fatal(err)
	}
}

func TestRedeem_AnAccessTokenThatIsTheIDTokens(t *testing.T) {
	o := newOther(t)
	sum := sha512.Sum512([]byte("an access token"))
	o.idToken = o.keys[0].sign(with(o.good(), claims{"at_hash": text(sum[:32])}))
	if _, err := relyOn(t, o).redeem(t); err != nil {
		t.Fatal(err)
	}
}

func TestRedeem_OnlyTrueIsTrue(t *testing.T) {
	for _, word := range []any{"true", 1, nil, false, []bool{true}} {
		o := newOther(t)
		o.idToken = o.keys[0].sign(with(o.good(), claims{"email_verified": word}))
		if got, err := relyOn(t, o).redeem(t); err != nil || got.EmailVerified {
			t.Errorf("%v: got %+v, %v", word, got, err)
		}
	}
}

func TestRedeem_KeysAreChanged(t *testing.T) {
	o := newOther(t)
	old := o.keys[0]
	o.idToken = old.sign(o.good())
	r := relyOn(t, o)
	if _, err := r.redeem(t); err != nil {
		t.Fatal(err)
	}
	fresh := newSigner("second")
	o.keys, o.idToken = []signer{fresh}, fresh.sign(o.good())
	if _, err := r.redeem(t); err != nil {
		t.Fatalf("the new key: %v", err)
	}
	o.idToken = old.sign(o.good())
	if _, err := r.redeem(t); !errors.Is(err, fault.Of(fault.InvalidCredentials)) {
		t.Errorf("the key that was taken back: %v", err)
	}
}

func TestRedeem_WhenTheProviderTalksNonsense(t *testing.T) {
	for name, set := range map[string]func(o *other){
		"keys can't be had":     func(o *other) { o.instead("/keys", status(http.StatusInternalServerError, "")) },
		"keys without end":      func(o *other) { o.instead("/keys", endless) },
		"keys are silent":       func(o *other) { o.instead("/keys", silent) },
		"tokens can't be had":   func(o *other) { o.instead("/token", status(http.StatusBadGateway, clientSecret)) },
		"tokens without end":    func(o *other) { o.instead("/token", endless) },
		"tokens are no JSON":    func(o *other) { o.instead("/token", status(http.StatusOK, "<html>")) },
		"we are not its client": func(o *other) { o.instead("/token", status(http.StatusUnauthorized, `{"error":"invalid_client"}`)) },
		"tokens are elsewhere": func(o *other) {
			o.instead("/token", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/keys", http.StatusTemporaryRedirect)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOther(t)
			o.idToken = o.keys[0].sign(o.good())
			set(o)
			r := relyOn(t, o)
			if got, err := r.redeem(t); !errors.Is(err, fault.Of(fault.Unavailable)) {
				t.Errorf("got %+v, %v", got, err)
			}
			if strings.Contains(r.log.String(), clientSecret) || r.log.Len() > 2000 {
				t.Errorf("logged %d bytes: %.300s", r.log.Len(), r.log)
			}
		})
	}
}

func TestRedeem_ACodeThatIsNotGoodIsTheBrowsersFault(t *testing.T) {
	o := newOther(t)
	o.instead("/token", status(http.StatusBadRequest, `{"error":"invalid_grant"}`))
	if _, err := relyOn(t, o).redeem(t); !errors.Is(err, fault.Of(fault.InvalidCredentials)) {
		t.Errorf("got %v", err)
	}
}

func TestRedeem_UserInfoCountsForTheSameSubjectAlone(t *testing.T) {
	for _, subject := range []string{"ada", "mallory"} {
		o := newOther(t)
		o.userInfo = claims{"sub": subject, "email": "ada@example.org", "email_verified": true}
		o.idToken = o.keys[0].sign(with(o.good(), claims{"email": nil, "email_verified": nil}))
		got, err := relyOn(t, o).redeem(t)
		switch {
		case subject == "ada" && (err != nil || got.Email != "ada@example.org"):
			t.Errorf("her own: %+v, %v", got, err)
		case subject != "ada" && !errors.Is(err, fault.Of(fault.InvalidCredentials)):
			t.Errorf("somebody else's: %+v, %v", got, err)
		}
	}
}

func TestAnswer_OfAnotherIssuer(t *testing.T) {
	o := newOther(t)
	o.says = claims{"authorization_response_iss_parameter_supported": true}
	o.idToken = o.keys[0].sign(o.good())
	r := relyOn(t, o)
	if err := r.CheckIssuer(t.Context(), "other", identity.Answer{Issuer: "https://elsewhere.example"}); !errors.Is(err, fault.Of(fault.InvalidCredentials)) {
		t.Errorf("another issuer: %v", err)
	}
	if err := r.CheckIssuer(t.Context(), "other", identity.Answer{Issuer: o.URL}); err != nil {
		t.Errorf("the issuer: %v", err)
	}
	if _, err := r.redeem(t); !errors.Is(err, fault.Of(fault.InvalidCredentials)) {
		t.Errorf("nobody, where the provider always says who it is: %v", err)
	}
	if o.times("/token") != 0 {
		t.Error("the code was shown all the same")
	}
}

func TestDiscovery_ThatLies(t *testing.T) {
	for name, set := range map[string]func(o *other){
		"another issuer":         func(o *other) { o.says = claims{"issuer": "https://elsewhere.example"} },
		"keys in a file":         func(o *other) { o.says = claims{"jwks_uri": "file:///etc/passwd"} },
		"tokens at a user":       func(o *other) { o.says = claims{"token_endpoint": "https://user@elsewhere.example/"} },
		"a page that is none":    func(o *other) { o.says = claims{"authorization_endpoint": "javascript:alert(1)"} },
		"user info without host": func(o *other) { o.says = claims{"userinfo_endpoint": "https:///me"} },
		"no keys":                func(o *other) { o.says = claims{"jwks_uri": nil} },
		"no JSON":                func(o *other) { o.instead("/.well-known/openid-configuration", status(http.StatusOK, "<html>")) },
		"without end":            func(o *other) { o.instead("/.well-known/openid-configuration", endless) },
		"silent":                 func(o *other) { o.instead("/.well-known/openid-configuration", silent) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOther(t)
			set(o)
			r := relyOn(t, o)
			for range 3 {
				if to, err := r.AuthorizationURL(t.Context(), "other", identity.Question{}); !errors.Is(err, fault.Of(fault.Unavailable)) {
					t.Fatalf("sent to %q, %v", to, err)
				}
			}
			if n := o.times("/.well-known/openid-configuration"); n != 1 {
				t.Errorf("it was asked %d times in a moment", n)
			}
		})
	}
}

func TestDiscovery_KeysAtAnAddressOfTheMachinesOwnHouse(t *testing.T) {
	o := newOther(t)
	o.says = claims{"jwks_uri": "http://169.254.169.254/latest/meta-data"}
	o.idToken = o.keys[0].sign(o.good())
	if _, err := relyOn(t, o).redeem(t); !errors.Is(err, fault.Of(fault.Unavailable)) {
		t.Errorf("got %v", err)
	}
}

func TestDiscovery_OldWordsHoldWhileTheProviderIsDown(t *testing.T) {
	o := newOther(t)
	r := relyOn(t, o)
	question := identity.Question{State: "state", Nonce: "nonce", Verifier: "verifier"}
	first, err := r.AuthorizationURL(t.Context(), "other", question)
	if err != nil {
		t.Fatal(err)
	}
	r.byName["other"].fresh = time.Now().Add(-time.Second)
	o.instead("/.well-known/openid-configuration", status(http.StatusInternalServerError, ""))
	again, err := r.AuthorizationURL(t.Context(), "other", question)
	if err != nil || again != first {
		t.Fatalf("sent to %q, %v; before to %q", again, err, first)
	}
	u, _ := url.Parse(again)
	if q := u.Query(); q.Get("nonce") != "nonce" || q.Get("state") != "state" || q.Get("code_challenge_method") != "S256" ||
		strings.Contains(again, "verifier") {
		t.Errorf("sent to %q", again)
	}
}

func TestNew_RefusesWhatCannotBeMeant(t *testing.T) {
	one := Config{Provider: identity.Provider{Name: "one", Issuer: "https://one.example"}}
	for name, configs := range map[string][]Config{
		"two of a name":      {one, {Provider: identity.Provider{Name: "one", Issuer: "https://two.example"}}},
		"two of an issuer":   {one, {Provider: identity.Provider{Name: "two", Issuer: one.Issuer}}},
		"an issuer in clear": {{Provider: identity.Provider{Name: "one", Issuer: "http://one.example"}}},
		"no issuer":          {{Provider: identity.Provider{Name: "one"}}},
	} {
		if _, err := New(slog.New(slog.DiscardHandler), configs...); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
