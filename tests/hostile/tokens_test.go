package hostile

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func segment(v any) string {
	b, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestAccessToken(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	good := ada.Session.AccessToken
	parts := strings.Split(good, ".")
	rawHeader, _ := base64.RawURLEncoding.DecodeString(parts[0])
	var header map[string]any
	if err := json.Unmarshal(rawHeader, &header); err != nil {
		t.Fatal(err)
	}
	with := func(changes map[string]any) string {
		h := map[string]any{}
		for k, v := range header {
			h[k] = v
		}
		for k, v := range changes {
			h[k] = v
		}
		return segment(h) + "." + parts[1] + "." + parts[2]
	}
	hs256 := func() string {
		head := segment(map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": header["kid"]}) + "." + parts[1]
		mac := hmac.New(sha256.New, c.Do("GET", "/.well-known/jwks.json", nil).Is(200).Body)
		mac.Write([]byte(head))
		return head + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	swapped := []byte(good)
	swapped[len(swapped)-5] ^= 1
	for name, token := range map[string]string{
		"no algorithm":                  segment(map[string]any{"alg": "none", "typ": "at+jwt"}) + "." + parts[1] + ".",
		"no algorithm in other letters": segment(map[string]any{"alg": "NonE", "typ": "at+jwt"}) + "." + parts[1] + ".",
		"no algorithm, signature kept":  with(map[string]any{"alg": "none"}),
		"signed with the public key":    hs256(),
		"another algorithm for the key": with(map[string]any{"alg": "ES256"}),
		"an unknown key":                with(map[string]any{"kid": "never-was"}),
		"a key that is a path":          with(map[string]any{"kid": "../../dev/null"}),
		"a key that is an injection":    with(map[string]any{"kid": "' OR 1=1 --"}),
		"a key that is a list":          with(map[string]any{"kid": []string{"a"}}),
		"a key of 4000 letters":         with(map[string]any{"kid": strings.Repeat("k", 4000)}),
		"a key to fetch":                with(map[string]any{"jku": "http://127.0.0.1:1/"}),
		"a key of its own":              with(map[string]any{"jwk": map[string]any{"kty": "OKP"}}),
		"a critical extension":          with(map[string]any{"crit": []string{"x"}, "x": 1}),
		"an unencoded payload":          with(map[string]any{"b64": false, "crit": []string{"b64"}}),
		"compressed":                    with(map[string]any{"zip": "DEF"}),
		"another type":                  with(map[string]any{"typ": "JWT"}),
		"one bit of the signature":      string(swapped),
		"no signature":                  parts[0] + "." + parts[1] + ".",
		"two parts":                     parts[0] + "." + parts[1],
		"five parts":                    good + ".a.b",
		"only dots":                     strings.Repeat(".", 5000),
		"padding":                       parts[0] + "=." + parts[1] + "." + parts[2],
		"a refresh token":               ada.Session.RefreshToken,
		"a claim of another person":     parts[0] + "." + segment(map[string]any{"sub": "admin", "exp": 1 << 40}) + "." + parts[2],
		"an API key that never was":     "crk_" + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
	} {
		t.Run(name, func(t *testing.T) {
			a := c.Do("GET", "/v1/users/me", nil, harness.Header("Authorization", "Bearer "+token))
			if a.Status != 401 {
				t.Fatalf("answered %d %s", a.Status, a.Body)
			}
			if a.Header.Get("WWW-Authenticate") == "" {
				t.Error("a 401 must name the scheme")
			}
		})
	}
	c.Do("GET", "/v1/users/me", nil).Refused(401, "AUTH_ERROR")
	c.Do("GET", "/v1/users/me", nil, harness.Header("Authorization", "Basic YTpi")).Refused(401, "AUTH_ERROR")
	ada.Do("GET", "/v1/users/me", nil).Is(200)
}

func TestIdentityHeaders(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	for _, name := range []string{
		"X-User-Id", "x-user-id", "X_User_Id", "X-Roles", "X-Roles-All", "X-Internal-Admin", "X-Session-Id", "X-Session_Id",
	} {
		t.Run(name, func(t *testing.T) {
			set := func(r *http.Request) { r.Header[name] = []string{"00000000-0000-0000-0000-000000000000"} }
			c.Do("GET", "/v1/users/me", nil, set).Refused(401, "AUTH_ERROR")
			var me harness.User
			ada.Do("GET", "/v1/users/me", nil, set).Is(200).JSON(&me)
			if me.ID != ada.User.ID {
				t.Errorf("became %s", me.ID)
			}
		})
	}
	t.Run("Connection names the credentials away", func(t *testing.T) {
		a := ada.Do("GET", "/v1/users/me", nil, harness.Header("Connection", "Authorization, X-Request-Id"))
		if a.Status != 200 && a.Status != 400 && a.Status != 401 {
			t.Errorf("answered %d", a.Status)
		}
	})
}

func TestRefreshToken(t *testing.T) {
	c := gateway(t)
	refresh := func(token string) *harness.Answer {
		return c.Do("POST", "/v1/auth/refresh", map[string]string{"refresh_token": token})
	}
	t.Run("fifty at once bring one successor", func(t *testing.T) {
		ada := c.SignUp()
		var mu sync.Mutex
		var group sync.WaitGroup
		successors := map[string]int{}
		for range 50 {
			group.Go(func() {
				a := c.Try("POST", "/v1/auth/refresh", map[string]string{"refresh_token": ada.Session.RefreshToken})
				if a.Err != nil || (a.Status != 200 && a.Status != 409) {
					t.Errorf("answered %d %s %v", a.Status, a.Body, a.Err)
					return
				}
				if a.Status == 200 {
					var body struct{ Session harness.Session }
					a.JSON(&body)
					mu.Lock()
					successors[body.Session.RefreshToken]++
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if len(successors) != 1 {
			t.Fatalf("%d successors, want 1", len(successors))
		}
		for s := range successors {
			refresh(s).Is(200)
		}
	})
	t.Run("a spent one, after its successor was used, ends everything", func(t *testing.T) {
		ada := c.SignUp()
		stolen := ada.Session.RefreshToken
		ada.Refresh().Is(200)
		ada.Refresh().Is(200)
		refresh(stolen).Refused(401, "INVALID_REFRESH_TOKEN")
		ada.Refresh().Refused(401, "INVALID_REFRESH_TOKEN") // the token that was live a moment before
		deadline := time.Now().Add(soon)
		for ada.Do("GET", "/v1/auth/session", nil).Status != 401 {
			if time.Now().After(deadline) {
				t.Fatal("the access token outlives the theft")
			}
		}
	})
	t.Run("a forged one kills nothing", func(t *testing.T) {
		ada := c.SignUp()
		body, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(ada.Session.RefreshToken, "crr_"))
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{2, 20, 30, len(body) - 1} { // session, generation, secret, MAC
			forged := append([]byte(nil), body...)
			forged[i] ^= 1
			refresh("crr_"+base64.RawURLEncoding.EncodeToString(forged)).Refused(401, "INVALID_REFRESH_TOKEN")
		}
		ada.Refresh().Is(200)
	})
	for name, token := range map[string]string{
		"empty": "", "short": "crr_", "another kind": "crk_AAAA", "padding": "crr_AAAA====", "long": "crr_" + strings.Repeat("A", 100_000),
		"not base64": "crr_!!!!", "line break": "crr_AA\nAA",
	} {
		t.Run(name, func(t *testing.T) {
			if a := refresh(token); a.Status != 401 && a.Status != 400 && a.Status != 413 {
				t.Errorf("answered %d %s", a.Status, a.Body)
			}
		})
	}
	t.Run("of a session that was logged out", func(t *testing.T) {
		ada := c.SignUp()
		ada.Do("POST", "/v1/auth/logout", nil).Is(204)
		ada.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
	})
}
