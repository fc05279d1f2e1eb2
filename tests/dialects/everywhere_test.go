package dialects

import (
	"io"
	"net/http"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func readAll(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestOnePersonIsOneEverywhere: who came in one way comes in the others, sees all sessions in one list, and ends them there.
func TestOnePersonIsOneEverywhere(t *testing.T) {
	stack := start(t)
	phone := newTrackit(mounts(t, stack, "trackit")["by host"], plainKey(t, stack))
	site := mounts(t, stack, "siteworks")["by path"]
	first := phone.register()
	login := site.do("POST", "/api/auth/login", fields{"email": phone.email, "password": harness.Password})
	page := login.is(200, fields{"success": true, "message": anything, "user": fields{
		"id": first.text(t, "user", "id"), "email": phone.email, "name": nil, "isVerified": false, "isActive": true, "lastLoginAt": millis,
	}, "tokens": siteworksTokens}).text(t, "tokens", "accessToken")
	own := harness.NewClient(t, stack.Public).LogIn(phone.email, harness.Password)
	if own.User.ID != first.text(t, "user", "id") {
		t.Errorf("%s is %s elsewhere", first.text(t, "user", "id"), own.User.ID)
	}
	var list struct {
		Items []struct {
			ID      string `json:"id"`
			Current bool   `json:"current"`
		} `json:"items"`
	}
	own.Do("GET", "/v1/auth/sessions", nil).Is(200).JSON(&list)
	if len(list.Items) != 3 {
		t.Fatalf("%d sessions are listed, want 3", len(list.Items))
	}
	for _, s := range list.Items {
		if !s.Current {
			own.Do("DELETE", "/v1/auth/sessions/"+s.ID, nil).Is(204)
		}
	}
	if phone.lives(first.text(t, "accessToken")) {
		t.Error("the phone's session outlived its end")
	}
	site.do("GET", "/api/auth/profile", nil, bearer(page)).is(401, siteworksFailure("INVALID_TOKEN"))

	email, _, _ := siteworks(t, site)
	phone.username = email // TrackIt's people may be called by their address too
	entry := trackitEntry("Authentication successful", phone.key)
	entry["user"] = fields{"id": id, "username": nil, "email": email}
	phone.call("POST", "/auth/login", fields{"username": email, "password": harness.Password}).is(200, entry)
	harness.NewClient(t, stack.Public).LogIn(email, harness.Password)
}

func TestTokensExpireInTheWordsOfEach(t *testing.T) {
	stack := start(t, harness.Replace(t, "accessTTL: 168h", "accessTTL: 10s"),
		harness.Replace(t, "accessTTL: 15m\n  refreshTTL: 168h", "accessTTL: 10s\n  refreshTTL: 168h"))
	phone := newTrackit(mounts(t, stack, "trackit")["by path"], plainKey(t, stack))
	site := mounts(t, stack, "siteworks")["by host"]
	first := phone.register()
	_, access, refresh := siteworks(t, site)
	time.Sleep(11 * time.Second)
	site.do("GET", "/api/auth/profile", nil, bearer(access)).is(401, siteworksFailure("TOKEN_EXPIRED"))
	phone.call("POST", "/auth/logout", nil, bearer(first.text(t, "accessToken"))).is(401, trackitNo)
	if phone.lives(first.text(t, "accessToken")) {
		t.Error("a token outlived its time")
	}
	next := site.do("POST", "/api/auth/refresh", fields{"refreshToken": refresh}).is(200, fields{"success": true, "message": anything, "tokens": siteworksTokens})
	_, payload := claims(t, next.text(t, "tokens", "accessToken"))
	if life := payload["exp"].(float64) - payload["iat"].(float64); life != 10 {
		t.Errorf("after a refresh the token lives for %v s: it does not follow the dialect's policy", life)
	}
}

// TestDialectsAreOffUnlessNamed: their Routes lead to an auth service that does not speak them.
func TestDialectsAreOffUnlessNamed(t *testing.T) {
	stack := start(t, harness.Replace(t, "  - {name: siteworks, sessionPolicyRef: {name: siteworks}}\n", ""))
	onBoth(t, stack, "siteworks", func(t *testing.T, m mount) {
		if a := m.do("POST", "/api/auth/login", fields{}); a.status != http.StatusNotFound {
			t.Errorf("answered %d %s", a.status, a.body)
		}
	})
}
