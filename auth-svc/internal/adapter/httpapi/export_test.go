package httpapi_test

import (
	"strings"
	"testing"
)

func TestMe_ExportHoldsEverything(t *testing.T) {
	h := openHouse(t)
	ada, _ := h.signup("ada"), h.signup("bob")
	h.login("ada", password)
	h.do(ask{method: "POST", path: "/v1/api-keys", token: ada.access(), body: object{"name": "backup", "permissions": []object{right("users", "read", "self")}}}).want(201, "")
	got := h.do(ask{method: "GET", internal: true, path: "/internal/v1/export", token: ada.access()}).want(200, "")
	var e struct {
		User     struct{ Username string }
		Sessions []struct{ Current bool }
		APIKeys  []struct{ Name string } `json:"api_keys"`
		History  []struct {
			Action   string
			Personal map[string]string
		}
	}
	got.into(&e)
	if e.User.Username != "ada" || len(e.Sessions) != 2 || !e.Sessions[1].Current || len(e.APIKeys) != 1 {
		t.Errorf("the export: %s", got.body)
	}
	var actions []string
	for _, row := range e.History {
		actions = append(actions, row.Action)
	}
	if strings.Join(actions, " ") != "user.export api_key.create session.login user.signup" || e.History[3].Personal["ip"] == "" {
		t.Errorf("the history: %v", actions)
	}
	for _, hidden := range []string{"bob", "argon2", "hash_", "crk_", "crr_", "secret"} {
		if strings.Contains(string(got.body), hidden) {
			t.Errorf("the export holds %q", hidden)
		}
	}
}

func TestHostile_ExportNeedsEveryPart(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	h.do(ask{method: "GET", internal: true, path: "/internal/v1/export"}).want(401, "AUTH_ERROR")
	h.do(ask{method: "GET", path: "/v1/users/me/export", token: ada.access()}).want(404, "NOT_FOUND") // the files service answers that
	h.do(ask{method: "GET", path: "/v1/users/" + ada.User.ID + "/export", token: ada.access()}).want(404, "NOT_FOUND")
	var made struct{ Key string }
	h.do(ask{method: "POST", path: "/v1/api-keys", token: ada.access(), body: object{"name": "k", "permissions": []object{right("users", "read", "self")}}}).
		want(201, "").into(&made)
	var got struct {
		AccessToken string `json:"access_token"`
	}
	h.do(ask{method: "POST", path: "/internal/v1/api-keys/exchange", internal: true, body: object{"api_key": made.Key}}).want(200, "").into(&got)
	h.do(ask{method: "GET", internal: true, path: "/internal/v1/export", token: got.AccessToken}).want(403, "FORBIDDEN")
}
