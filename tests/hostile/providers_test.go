package hostile

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// providers is a gateway whose people can also sign in at two providers.
func providers(t *testing.T, more ...string) (c *harness.Client, one, two *harness.Provider) {
	t.Helper()
	one, two = harness.NewProvider(t), harness.NewProvider(t)
	block := "  identityProviders:\n" + one.Block("one", "") + two.Block("two", "newPeople: Refuse") + strings.Join(more, "")
	config := harness.ConfigDir(t, harness.Replace(t, "  sessionPolicyRef:\n", block+"  sessionPolicyRef:\n"))
	return harness.NewClient(t, harness.Start(t, "CONFIG_DIR="+config).Public), one, two
}

// trip is a sign-in on its way.
type trip struct {
	*harness.Client
	provider, state, nonce, cookie, verifier string
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func beginSignIn(t *testing.T, c *harness.Client, provider string) trip {
	t.Helper()
	tr := trip{Client: c.Fresh(), provider: provider, verifier: harness.NewUsername()}
	a := tr.Do("GET", "/v1/auth/providers/"+provider+"/start?code_challenge="+challenge(tr.verifier), nil).Is(302)
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || to.Query().Get("code_challenge_method") != "S256" || to.Query().Get("nonce") == "" || to.Query().Get("state") == "" {
		t.Fatalf("sent to %s", a.Header.Get("Location"))
	}
	set := a.Header.Get("Set-Cookie")
	for _, want := range []string{"__Host-sign-in=", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=600"} {
		if !strings.Contains(set, want) {
			t.Errorf("the cookie %q lacks %q", set, want)
		}
	}
	tr.cookie, _, _ = strings.Cut(set, ";")
	tr.state, tr.nonce = to.Query().Get("state"), to.Query().Get("nonce")
	return tr
}

func (tr trip) back(code, more string) *harness.Answer {
	return tr.Do("GET", "/v1/auth/providers/"+tr.provider+"/callback?state="+url.QueryEscape(tr.state)+"&code="+url.QueryEscape(code)+more, nil,
		harness.Header("Cookie", tr.cookie))
}

// arrive goes back to the client and returns the one-time code.
func (tr trip) arrive(t *testing.T, p *harness.Provider, subject string, w harness.Word) string {
	t.Helper()
	p.Say(tr.nonce, tr.nonce, subject, w)
	to, err := url.Parse(tr.back(tr.nonce, "").Is(303).Header.Get("Location"))
	if err != nil || to.Host != "app.example" || to.Query().Get("code") == "" {
		t.Fatalf("sent to %v, %v", to, err)
	}
	return to.Query().Get("code")
}

func (tr trip) exchange(code, verifier string) *harness.Answer {
	return tr.Do("POST", "/v1/auth/providers/exchange", fields{"code": code, "code_verifier": verifier})
}

// who is who comes in.
func who(t *testing.T, c *harness.Client, p *harness.Provider, provider, subject string, claims map[string]any) *harness.Answer {
	t.Helper()
	tr := beginSignIn(t, c, provider)
	return tr.exchange(tr.arrive(t, p, subject, harness.Word{Claims: claims}), tr.verifier)
}

type entry struct {
	User struct {
		ID            string `json:"id"`
		Email         string `json:"email"`
		EmailVerified bool   `json:"email_verified"`
	} `json:"user"`
	Session harness.Session `json:"session"`
}

func in(a *harness.Answer) (e entry) {
	a.Is(200).JSON(&e)
	return e
}

func TestProvider_SignInAndComeBack(t *testing.T) {
	c, one, _ := providers(t)
	claims := map[string]any{"email": "ada@example.org", "email_verified": true, "name": "Ada"}
	first := in(who(t, c, one, "one", "ada", claims))
	again := in(who(t, c, one, "one", "ada", nil))
	if first.User.ID != again.User.ID || first.User.Email != "ada@example.org" || !first.User.EmailVerified {
		t.Errorf("first %+v, then %+v", first.User, again.User)
	}
	ada := c.Fresh()
	ada.Session = again.Session
	ada.Do("GET", "/v1/users/me", nil).Is(200)
	ada.Refresh().Is(200)
	var list struct {
		Items []struct{ ID, Subject string }
	}
	ada.Do("GET", "/v1/auth/identities", nil).Is(200).JSON(&list)
	ada.Do("DELETE", "/v1/auth/identities/"+list.Items[0].ID, nil).Refused(409, "CONFLICT") // the last way in
	if one.Calls("/.well-known/openid-configuration") != 1 || one.Calls("/keys") != 1 {
		t.Error("description and keys are asked for at each sign-in")
	}
}

func TestProvider_StateSwappedReplayedOrWithoutItsCookie(t *testing.T) {
	c, one, _ := providers(t)
	mine, theirs := beginSignIn(t, c, "one"), beginSignIn(t, c, "one")
	one.Say("c", mine.nonce, "ada", harness.Word{})
	swapped := theirs
	swapped.state = mine.state // the victim's browser opens the answer to my sign-in
	swapped.back("c", "").Refused(401, "INVALID_CREDENTIALS")
	bare := mine
	bare.cookie = ""
	bare.back("c", "").Refused(401, "INVALID_CREDENTIALS")
	twice := mine
	twice.cookie = mine.cookie + "; " + theirs.cookie
	twice.back("c", "").Refused(401, "INVALID_CREDENTIALS")
	for _, state := range []string{"", "x", mine.state + "A", mine.state[:40], strings.ToLower(mine.state), "crr_" + mine.state[4:]} {
		forged := mine
		forged.state = state
		forged.back("c", "").Refused(401, "INVALID_CREDENTIALS")
	}
	mine.back("c", "&state="+mine.state).Refused(400, "VALIDATION_ERROR")
	if one.Calls("/token") != 0 {
		t.Error("the provider was asked about a state that proves nothing")
	}
	mine.back("c", "").Is(303)
	one.Say("c", mine.nonce, "ada", harness.Word{})
	mine.back("c", "").Refused(401, "INVALID_CREDENTIALS")
}

func TestProvider_CodeReplayedStolenOrForged(t *testing.T) {
	c, one, _ := providers(t)
	tr := beginSignIn(t, c, "one")
	code := tr.arrive(t, one, "ada", harness.Word{})
	tr.exchange(code, "not the verifier").Refused(401, "INVALID_CREDENTIALS")
	tr.exchange(code, challenge(tr.verifier)).Refused(401, "INVALID_CREDENTIALS")
	tr.exchange(tr.state, tr.verifier).Refused(401, "INVALID_CREDENTIALS")
	tr.exchange(code+"A", tr.verifier).Refused(401, "INVALID_CREDENTIALS")
	tr.Do("POST", "/v1/auth/providers/exchange", fields{"code": code}).Refused(400, "VALIDATION_ERROR")
	in(tr.exchange(code, tr.verifier))
	tr.exchange(code, tr.verifier).Refused(401, "INVALID_CREDENTIALS")
	tr.SignUp().Do("POST", "/v1/auth/identities", fields{"code": code, "code_verifier": tr.verifier}).Refused(401, "INVALID_CREDENTIALS")
}

func TestProvider_MixUp(t *testing.T) {
	c, one, two := providers(t)
	tr := beginSignIn(t, c, "one")
	one.Say("c", tr.nonce, "ada", harness.Word{})
	two.Say("c", tr.nonce, "ada", harness.Word{})
	tr.back("c", "&iss="+url.QueryEscape(two.URL)).Refused(401, "INVALID_CREDENTIALS")
	crossed := tr
	crossed.provider = "two"
	crossed.back("c", "").Refused(401, "INVALID_CREDENTIALS")
	tr.back("c", "&iss="+url.QueryEscape(one.URL)).Is(303)
}

func TestProvider_TokensThatProveNothing(t *testing.T) {
	c, one, two := providers(t)
	past := time.Now().Add(-time.Minute).Unix()
	for name, w := range map[string]harness.Word{
		"alg none":                       {Algorithm: "none"},
		"alg HS256 with the public key":  {Algorithm: "HS256"},
		"a key that is not published":    {Foreign: true},
		"wrong nonce":                    {Claims: map[string]any{"nonce": "another"}},
		"no nonce":                       {Claims: map[string]any{"nonce": nil}},
		"another audience":               {Claims: map[string]any{"aud": "other"}},
		"two audiences and no azp":       {Claims: map[string]any{"aud": []string{"cloakroom", "other"}}},
		"authorized party somebody else": {Claims: map[string]any{"azp": "other"}},
		"expired":                        {Claims: map[string]any{"exp": past}},
		"no expiry":                      {Claims: map[string]any{"exp": nil}},
		"another issuer":                 {Claims: map[string]any{"iss": two.URL}},
		"no subject":                     {Claims: map[string]any{"sub": nil}},
		"endless subject":                {Claims: map[string]any{"sub": strings.Repeat("x", 256)}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := beginSignIn(t, c, "one")
			one.Say(tr.nonce, tr.nonce, "ada", w)
			tr.back(tr.nonce, "").Refused(401, "INVALID_CREDENTIALS")
		})
	}
}

func TestProvider_AnAddressLinksNobodyUnlessBothSidesHaveVerifiedIt(t *testing.T) {
	c, one, _ := providers(t)
	mallory := c.Fresh()
	mallory.Do("POST", "/v1/auth/signup", fields{"email": "victim@example.org", "password": harness.Password}).Is(201)
	// The account was made in advance by who knows whom: the owner of the address must not end up in it.
	who(t, c, one, "one", "victim", map[string]any{"email": "victim@example.org", "email_verified": true}).Refused(409, "USER_EXISTS")
	who(t, c, one, "one", "victim", map[string]any{"email": "ｖictim@example.org", "email_verified": true}).Refused(409, "USER_EXISTS")

	bob := in(who(t, c, one, "one", "bob", map[string]any{"email": "bob@example.org", "email_verified": true}))
	for name, claims := range map[string]map[string]any{
		"not verified":        {"email": "bob@example.org", "email_verified": false},
		"silent":              {"email": "bob@example.org"},
		"the word true":       {"email": "bob@example.org", "email_verified": "true"},
		"one":                 {"email": "bob@example.org", "email_verified": 1},
		"a claim in capitals": {"email": "bob@example.org", "EMAIL_VERIFIED": true},
		"a look-alike":        {"email": "bоb@example.org", "email_verified": true},
	} {
		got := in(who(t, c, one, "one", name, claims))
		if got.User.ID == bob.User.ID || got.User.Email == "bob@example.org" {
			t.Errorf("%s: came in as bob", name)
		}
	}
	heir := map[string]any{"email": "bob@example.org", "email_verified": true}
	who(t, c, one, "one", "bob the second", heir).Refused(409, "USER_EXISTS")
}

func TestProvider_NewPeopleAreRefusedWhereTheOperatorSaysSo(t *testing.T) {
	c, _, two := providers(t)
	who(t, c, two, "two", "ada", nil).Refused(403, "FORBIDDEN")
}

func TestProvider_ReturnURLsAndChallenges(t *testing.T) {
	c, _, _ := providers(t)
	good := "code_challenge=" + challenge("v")
	for _, q := range []string{
		good + "&return_url=https://evil.example/in", good + "&return_url=https://app.example/in/", good + "&return_url=https://app.example.evil/in",
		good + "&return_url=//app.example/in", good + "&return_url=javascript:alert(1)", good + "&return_url=https://app.example/in&return_url=https://evil.example",
		good + "&redirect=x", "", "code_challenge=plain", good + "&code_challenge=" + challenge("w"),
	} {
		a := c.Do("GET", "/v1/auth/providers/one/start?"+q, nil)
		a.Refused(400, "VALIDATION_ERROR")
		if a.Header.Get("Set-Cookie") != "" || a.Header.Get("Location") != "" {
			t.Errorf("%s: refused, and sent on", q)
		}
	}
	c.Do("GET", "/v1/auth/providers/none/start?"+good, nil).Refused(404, "NOT_FOUND")
	c.Do("GET", "/v1/auth/providers/one/start?"+good+"&return_url=com.example.app:/in", nil).Is(302)
	r, err := c.Request("GET", "/v1/auth/providers/one/start?"+good+"&return_url=%3Cscript%3E", nil, harness.Header("Accept", "text/html"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := c.HTTP().Do(r) // a browser's: a page, which no schema describes
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	body, _ := io.ReadAll(page.Body)
	if page.StatusCode != 400 || strings.Contains(string(body), "<script") || !strings.Contains(page.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the page is %d %s", page.StatusCode, body)
	}
}

func TestProvider_DownOversizedOrPointingInside(t *testing.T) {
	strict := harness.NewProvider(t)
	inside := "  - {name: inside, displayName: i, issuer: '" + strings.Replace(strict.URL, "http://", "https://", 1) +
		"', clientID: c, returnURLs: ['https://app.example/in']}\n" +
		"  - {name: metadata, displayName: m, issuer: 'http://169.254.169.254', clientID: c, returnURLs: ['https://app.example/in'], allowPrivateAddresses: true}\n"
	c, one, two := providers(t, inside)
	start := func(name string) *harness.Answer {
		return c.Do("GET", "/v1/auth/providers/"+name+"/start?code_challenge="+challenge("v"), nil)
	}
	start("inside").Refused(503, "UNAVAILABLE")
	start("metadata").Refused(503, "UNAVAILABLE")
	one.Set(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
	})
	start("one").Refused(503, "UNAVAILABLE")

	tr := beginSignIn(t, c, "two") // is found while it is well
	huge := strings.Repeat(" ", 10<<20)
	two.Set(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(huge)) })
	tr.back("c", "").Refused(503, "UNAVAILABLE")
	tr = beginSignIn(t, c, "two")
	two.Close()
	tr.back("c", "").Refused(503, "UNAVAILABLE")
	if a := start("inside"); a.Header.Get("Retry-After") == "" {
		t.Error("nobody is told when to come back")
	}
	c.SignUp() // others notice nothing
}

func TestProvider_ARefusalThereIsToldToTheClient(t *testing.T) {
	c, _, _ := providers(t)
	tr := beginSignIn(t, c, "one")
	a := tr.Do("GET", "/v1/auth/providers/one/callback?error=access_denied&state="+url.QueryEscape(tr.state), nil, harness.Header("Cookie", tr.cookie)).Is(303)
	if to := a.Header.Get("Location"); to != "https://app.example/in?error=access_denied" {
		t.Errorf("sent to %s", to)
	}
}
