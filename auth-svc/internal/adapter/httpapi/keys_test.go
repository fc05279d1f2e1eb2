package httpapi_test

import (
	"strings"
	"testing"
	"time"
)

type madeKey struct {
	Key    string
	APIKey struct {
		ID          string
		Name        string
		Permissions []object
	} `json:"api_key"`
}

func (h *house) createKey(s session, name string) madeKey {
	h.t.Helper()
	var made madeKey
	h.do(ask{method: "POST", path: "/v1/api-keys", token: s.access(), body: object{
		"name": name, "permissions": []object{{"resource": "files", "action": "read", "scope": "self"}},
	}}).want(201, "").into(&made)
	return made
}

func (h *house) exchange(key string) reply {
	h.t.Helper()
	return h.do(ask{method: "POST", path: "/internal/v1/api-keys/exchange", internal: true, body: object{"api_key": key}})
}

func TestAPIKeys_MakeExchangeRevoke(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	made := h.createKey(ada, "backup")

	var t1 struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	h.exchange(made.Key).want(200, "").into(&t1)
	if t1.ExpiresIn <= 0 || t1.ExpiresIn > 3600 {
		t.Errorf("the token lives %d s", t1.ExpiresIn)
	}
	var check struct {
		SessionID *string `json:"session_id"`
		User      struct{ ID string }
	}
	h.check(t1.AccessToken).want(200, "").into(&check)
	if check.SessionID != nil || check.User.ID != ada.User.ID {
		t.Errorf("the key is %+v", check)
	}
	h.do(ask{method: "POST", path: "/v1/auth/logout", token: t1.AccessToken}).want(403, "FORBIDDEN")
	h.do(ask{method: "POST", path: "/v1/api-keys", token: t1.AccessToken, body: object{
		"name": "child", "permissions": []object{{"resource": "files", "action": "read", "scope": "self"}},
	}}).want(403, "FORBIDDEN") // a key makes no keys

	var list page[struct{ ID, Name string }]
	listed := h.do(ask{method: "GET", path: "/v1/api-keys", token: ada.access()}).want(200, "")
	listed.into(&list)
	if len(list.Items) != 1 || list.Items[0].Name != "backup" || strings.Contains(string(listed.body), "crk_") {
		t.Errorf("listed %s", listed.body)
	}

	h.do(ask{method: "DELETE", path: "/v1/api-keys/" + made.APIKey.ID, token: h.signup("bob").access()}).want(404, "NOT_FOUND")
	h.do(ask{method: "DELETE", path: "/v1/api-keys/" + made.APIKey.ID, token: ada.access()}).want(204, "")
	h.check(t1.AccessToken).want(401, "INVALID_TOKEN")
	h.exchange(made.Key).want(401, "INVALID_CREDENTIALS")
}

func TestAPIKeys_RefusedRequests(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	files := object{"resource": "files", "action": "read", "scope": "self"}
	for name, c := range map[string]struct {
		body   any
		status int
		code   string
	}{
		"above the maker":   {object{"name": "x", "permissions": []object{{"resource": "users", "action": "update", "scope": "all"}}}, 403, "FORBIDDEN"},
		"no permissions":    {object{"name": "x", "permissions": []object{}}, 400, "VALIDATION_ERROR"},
		"no name":           {object{"permissions": []object{files}}, 400, "VALIDATION_ERROR"},
		"unknown scope":     {object{"name": "x", "permissions": []object{{"resource": "files", "action": "read", "scope": "world"}}}, 400, "VALIDATION_ERROR"},
		"born expired":      {object{"name": "x", "permissions": []object{files}, "expires_at": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}, 400, "VALIDATION_ERROR"},
		"no date":           {object{"name": "x", "permissions": []object{files}, "expires_at": "tomorrow"}, 400, "VALIDATION_ERROR"},
		"for somebody else": {object{"name": "x", "permissions": []object{files}, "user_id": "x"}, 400, "VALIDATION_ERROR"},
		"a field too many":  {object{"name": "x", "permissions": []object{{"resource": "files", "action": "read", "scope": "self", "id": "*"}}}, 400, "VALIDATION_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.do(ask{method: "POST", path: "/v1/api-keys", token: ada.access(), body: c.body})
			if got.status != c.status || !strings.Contains(string(got.body), c.code) {
				t.Errorf("got %d %s, want %d %s", got.status, got.body, c.status, c.code)
			}
		})
	}
	good := h.createKey(ada, "good").Key
	for _, key := range []string{"x", "crk_", good + "A", good[:len(good)-1], "crr_" + good[4:], strings.Repeat("A", 100_000), ada.access()} {
		h.exchange(key).want(401, "INVALID_CREDENTIALS")
	}
	h.exchange("").want(400, "VALIDATION_ERROR")
	h.exchange(good).want(200, "")
	h.check(good).want(401, "INVALID_TOKEN") // the service itself takes access tokens only
}

func TestBootstrap_APIKeyIsTheAdministrators(t *testing.T) {
	h := openHouse(t)
	var got struct {
		AccessToken string `json:"access_token"`
	}
	h.exchange(h.admin.APIKey.Reveal()).want(200, "").into(&got)
	h.do(ask{method: "GET", path: "/v1/signing-keys", token: got.AccessToken}).want(200, "")
	if len(h.admin.Token.Reveal()) != 50 {
		t.Errorf("the bootstrap token has %d characters", len(h.admin.Token.Reveal()))
	}
}

type signingKeys struct {
	Items []struct{ KID, State, Algorithm string }
}

func (k signingKeys) in(state string) string {
	for _, key := range k.Items {
		if key.State == state {
			return key.KID
		}
	}
	return ""
}

func TestSigningKeys_OnlyForAdministrators(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	for _, a := range []ask{{method: "GET"}, {method: "POST"}, {method: "DELETE", path: "/x"}} {
		h.do(ask{method: a.method, path: "/v1/signing-keys" + a.path, token: ada.access()}).want(403, "FORBIDDEN")
		h.do(ask{method: a.method, path: "/v1/signing-keys" + a.path}).want(401, "AUTH_ERROR")
	}
}

func TestSigningKeys_KillEndsItsTokensAndNoSession(t *testing.T) {
	h := openHouse(t)
	ada, admin := h.signup("ada"), h.loginAdmin()
	var keys signingKeys
	h.do(ask{method: "GET", path: "/v1/signing-keys", token: admin.access()}).want(200, "").into(&keys)
	old := keys.in("current")
	h.do(ask{method: "DELETE", path: "/v1/signing-keys/" + old, token: admin.access()}).want(204, "")
	h.check(ada.access()).want(401, "INVALID_TOKEN")
	h.check(admin.access()).want(401, "INVALID_TOKEN")

	var next session
	h.refresh(ada.Session.RefreshToken).want(200, "").into(&next)
	h.check(next.access()).want(200, "")
	jwks := h.do(ask{method: "GET", path: "/.well-known/jwks.json"}).want(200, "")
	if strings.Contains(string(jwks.body), old) {
		t.Error("the killed key is still published")
	}
}

func TestSigningKeys_RotationHarmsNoToken(t *testing.T) {
	h := openHouse(t)
	ada, admin := h.signup("ada"), h.loginAdmin()
	h.do(ask{method: "POST", path: "/v1/signing-keys", token: admin.access()}).want(200, "")
	h.check(ada.access()).want(200, "")
	h.do(ask{method: "DELETE", path: "/v1/signing-keys/nobody", token: admin.access()}).want(404, "NOT_FOUND")
}

func TestJWKS_IsTheSameOnBothListenersAndMayBeKept(t *testing.T) {
	h := openHouse(t)
	public := h.do(ask{method: "GET", path: "/.well-known/jwks.json"}).want(200, "")
	internal := h.do(ask{method: "GET", path: "/.well-known/jwks.json", internal: true}).want(200, "")
	if string(public.body) != string(internal.body) || !strings.Contains(public.header.Get("Cache-Control"), "max-age=") {
		t.Errorf("public %s, internal %s, %v", public.body, internal.body, public.header)
	}
	if !strings.Contains(string(public.body), `"alg":"EdDSA"`) || strings.Contains(string(public.body), `"d":`) {
		t.Errorf("key set is %s", public.body)
	}
}

func TestIntrospect_AsksTheStore(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	introspect := func(token string) reply {
		return h.do(ask{method: "POST", path: "/internal/v1/introspect", internal: true, body: object{"access_token": token}})
	}
	var p struct {
		UserID      string `json:"user_id"`
		SessionID   string `json:"session_id"`
		Permissions []string
		ExpiresAt   time.Time `json:"expires_at"`
	}
	introspect(ada.access()).want(200, "").into(&p)
	if p.UserID != ada.User.ID || p.SessionID != ada.Session.SessionID || len(p.Permissions) == 0 || !p.ExpiresAt.After(time.Now()) {
		t.Errorf("introspected %+v", p)
	}
	h.logout(ada)
	introspect(ada.access()).want(401, "INVALID_TOKEN")
	introspect("x").want(401, "INVALID_TOKEN")
	introspect("").want(400, "VALIDATION_ERROR")
}

// Without the owner's roles a gateway that introspects would not notice that one of them has changed.
func TestIntrospect_TellsTheRolesWhoseChangeEndsTheTokenOfAKey(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	var made struct {
		Secret string `json:"key"`
	}
	h.do(ask{method: "POST", path: "/v1/api-keys", token: ada.access(), body: object{"name": "k", "permissions": []object{right("files", "read", "self")}}}).want(201, "").into(&made)
	var exchanged struct {
		AccessToken string `json:"access_token"`
	}
	h.do(ask{method: "POST", path: "/internal/v1/api-keys/exchange", internal: true, body: object{"api_key": made.Secret}}).want(200, "").into(&exchanged)
	for token, want := range map[string]string{ada.access(): `"epoch_roles":[]`, exchanged.AccessToken: `"epoch_roles":["guest"]`} {
		got := h.do(ask{method: "POST", path: "/internal/v1/introspect", internal: true, body: object{"access_token": token}}).want(200, "")
		if !strings.Contains(string(got.body), want) {
			t.Errorf("%s lacks %s", got.body, want)
		}
	}
}
