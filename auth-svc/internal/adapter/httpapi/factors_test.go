package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/totp"
)

// decoded reads the body of an answer that must have this status.
func decoded[T any](t *testing.T, r reply, status int) (v T) {
	t.Helper()
	if r.status != status {
		t.Fatalf("%s: %d %s, want %d", r.what, r.status, r.body, status)
	}
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

type enrolledAnswer struct {
	Factor struct {
		ID        string `json:"id"`
		Confirmed bool   `json:"confirmed"`
	} `json:"factor"`
	Secret string `json:"secret"`
	URI    string `json:"otpauth_uri"`
}

type codesAnswer struct {
	Codes []string `json:"recovery_codes"`
}

type challengeAnswer struct {
	Challenge struct {
		Token     string   `json:"token"`
		Factors   []string `json:"factors"`
		ExpiresIn int64    `json:"expires_in"`
	} `json:"challenge"`
}

type sessionAnswer struct {
	Session struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
	} `json:"session"`
}

// codeOf is what an app shows now.
func codeOf(t *testing.T, shared string) string {
	t.Helper()
	code, err := totp.New("").Code(secret.NewString(shared), time.Now().Unix()/30)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestFactors_FromEnrolmentToRemoval(t *testing.T) {
	h := openHouse(t)
	login := map[string]any{"identifier": "ada", "password": "correct horse battery"}
	signedUp := decoded[sessionAnswer](t, h.do(ask{method: "POST", path: "/v1/auth/signup", body: map[string]any{
		"username": "ada", "password": login["password"],
	}}), http.StatusCreated)
	token := signedUp.Session.AccessToken
	post := func(token, path string, body any) reply {
		return h.do(ask{method: "POST", path: path, token: token, body: body})
	}

	e := decoded[enrolledAnswer](t, post(token, "/v1/auth/factors", map[string]any{"type": "totp", "name": "phone"}), http.StatusCreated)
	if e.Factor.Confirmed || !strings.HasPrefix(e.URI, "otpauth://totp/cloakroom-test:ada?") {
		t.Errorf("enrolled %+v", e)
	}
	codes := decoded[codesAnswer](t, post(token, "/v1/auth/factors/"+e.Factor.ID+"/confirm", map[string]any{"code": codeOf(t, e.Secret)}), http.StatusOK).Codes
	if len(codes) != 10 {
		t.Fatalf("recovery codes: %v", codes)
	}

	c := decoded[challengeAnswer](t, post("", "/v1/auth/login", login), http.StatusAccepted).Challenge
	if c.ExpiresIn != 300 || len(c.Factors) != 2 {
		t.Errorf("challenge %+v", c)
	}
	if r := post(c.Token, "/v1/auth/step-up", map[string]any{"code": codes[0]}); r.status != http.StatusUnauthorized {
		t.Errorf("a challenge as an access token: %d", r.status)
	}
	if r := post("", "/v1/auth/login/factor", map[string]any{"challenge_token": c.Token, "code": "nonsense"}); r.status != http.StatusUnauthorized {
		t.Errorf("a wrong code: %d %s", r.status, r.body)
	}
	in := decoded[sessionAnswer](t, post("", "/v1/auth/login/factor", map[string]any{"challenge_token": c.Token, "code": codes[0]}), http.StatusOK)

	stepped := decoded[sessionAnswer](t, post(in.Session.AccessToken, "/v1/auth/step-up", map[string]any{"code": codes[1]}), http.StatusOK)
	again := decoded[codesAnswer](t, post(stepped.Session.AccessToken, "/v1/auth/factors/recovery-codes", nil), http.StatusOK).Codes
	if len(again) != 10 || again[0] == codes[0] {
		t.Errorf("new recovery codes: %v", again)
	}
	list := decoded[struct {
		Items []struct {
			Name string `json:"name"`
		} `json:"items"`
		Left int `json:"recovery_codes_left"`
	}](t, h.do(ask{method: "GET", path: "/v1/auth/factors", token: token}), http.StatusOK)
	if len(list.Items) != 1 || list.Items[0].Name != "phone" || list.Left != 10 {
		t.Errorf("listed %+v", list)
	}
	if r := h.do(ask{method: "DELETE", path: "/v1/auth/factors/" + e.Factor.ID, token: stepped.Session.AccessToken}); r.status != http.StatusNoContent {
		t.Errorf("remove: %d %s", r.status, r.body)
	}
	decoded[sessionAnswer](t, post("", "/v1/auth/login", login), http.StatusOK)
	for _, secretText := range []string{e.Secret, codes[0], again[0], c.Token} {
		if strings.Contains(h.logs.String(), secretText) {
			t.Error("a secret is in the log")
		}
	}
}

func TestFactors_RequestsAreStrict(t *testing.T) {
	h := openHouse(t)
	token := decoded[sessionAnswer](t, h.do(ask{method: "POST", path: "/v1/auth/signup", body: map[string]any{
		"username": "ada", "password": "correct horse battery",
	}}), http.StatusCreated).Session.AccessToken
	for _, c := range []struct {
		path string
		body any
	}{
		{"/v1/auth/factors", map[string]any{"type": "sms", "name": "x"}},
		{"/v1/auth/factors", map[string]any{"type": "totp"}},
		{"/v1/auth/factors", map[string]any{"type": "totp", "name": "x", "secret": "MINE"}},
		{"/v1/auth/step-up", map[string]any{}},
		{"/v1/auth/step-up", map[string]any{"code": ""}},
		{"/v1/auth/step-up", map[string]any{"code": "123456", "password": "correct horse battery"}},
		{"/v1/auth/login/factor", map[string]any{"code": "123456"}},
		{"/v1/auth/login/factor", map[string]any{"challenge_token": "crf_x"}},
	} {
		if r := h.do(ask{method: "POST", path: c.path, token: token, body: c.body}); r.status != http.StatusBadRequest {
			t.Errorf("%s %v: %d %s", c.path, c.body, r.status, r.body)
		}
	}
	if r := h.do(ask{method: "POST", path: "/v1/auth/login/factor", body: map[string]any{"challenge_token": "crf_x", "code": "1"}}); r.status != http.StatusUnauthorized {
		t.Errorf("a forged challenge: %d", r.status)
	}
}
