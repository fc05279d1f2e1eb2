package hostile

import (
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

type fields = map[string]any

// administration is a stack with its first administrator and one ordinary person.
func administration(t *testing.T) (admin, ada *harness.Client) {
	t.Helper()
	stack := harness.Start(t)
	c := harness.NewClient(t, stack.Public)
	b := stack.Bootstrap()
	return c.LogIn(b.Admin.Username, b.Admin.Password), c.SignUp()
}

func right(resource, action, scope string) fields {
	return fields{"resource": resource, "action": action, "scope": scope}
}

func TestAdmin_EndpointsWithAPlainToken(t *testing.T) {
	admin, ada := administration(t)
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/v1/users", nil},
		{"POST", "/v1/users", fields{"username": "eve"}},
		{"GET", "/v1/users/" + admin.User.ID, nil},
		{"PATCH", "/v1/users/" + admin.User.ID, fields{"status": "blocked"}},
		{"DELETE", "/v1/users/" + admin.User.ID, nil},
		{"GET", "/v1/users/" + admin.User.ID + "/sessions", nil},
		{"DELETE", "/v1/users/" + admin.User.ID + "/sessions", nil},
		{"GET", "/v1/roles", nil},
		{"PUT", "/v1/roles/mine", fields{"permissions": []fields{right("users", "delete", "all")}}},
		{"DELETE", "/v1/roles/guest", nil},
		{"GET", "/v1/audit", nil},
		{"GET", "/v1/signing-keys", nil},
		{"POST", "/v1/signing-keys", nil},
	} {
		ada.Do(c.method, c.path, c.body).Refused(403, "FORBIDDEN")
		ada.Fresh().Do(c.method, c.path, c.body).Refused(401, "AUTH_ERROR")
	}
	admin.Do("GET", "/v1/users/me", nil).Is(200)
}

func TestAdmin_SelfPromotion(t *testing.T) {
	admin, ada := administration(t)
	everything := []fields{right("users", "delete", "all")}
	for _, wish := range []fields{{"roles": []string{"admin"}}, {"permissions": everything}} {
		ada.Do("PATCH", "/v1/users/"+ada.User.ID, wish).Refused(403, "FORBIDDEN")
		ada.Do("PATCH", "/v1/users/me", wish).Refused(400, "VALIDATION_ERROR")
	}
	// The longer way: somebody who may change people, and roles.
	admin.Do("PATCH", "/v1/users/"+ada.User.ID, fields{"permissions": []fields{
		right("users", "update", "all"), right("roles", "create", "all"), right("roles", "update", "all"),
	}}).Is(200)
	ada.Refresh().Is(200)
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"PATCH", "/v1/users/" + ada.User.ID, fields{"roles": []string{"admin"}}},
		{"PATCH", "/v1/users/" + ada.User.ID, fields{"permissions": everything}},
		{"PATCH", "/v1/users/" + admin.User.ID, fields{"email": "mine@example.com"}},
		{"PATCH", "/v1/users/" + admin.User.ID, fields{"status": "blocked"}},
		{"PUT", "/v1/roles/guest", fields{"permissions": everything}},
		{"PUT", "/v1/roles/mine", fields{"permissions": everything}},
	} {
		ada.Do(c.method, c.path, c.body).Refused(403, "FORBIDDEN")
	}
	admin.Do("GET", "/v1/users/me", nil).Is(200)
}

func TestAdmin_PrivilegedFields(t *testing.T) {
	admin, ada := administration(t)
	for _, field := range []string{"role", "verified", "user_id", "banned_until", "is_admin", "password_hash", "epoch", "Status"} {
		admin.Do("PATCH", "/v1/users/"+ada.User.ID, fields{field: "x"}).Refused(400, "VALIDATION_ERROR")
		ada.Do("PATCH", "/v1/users/me", fields{field: "x"}).Refused(400, "VALIDATION_ERROR")
	}
	admin.Do("PUT", "/v1/roles/x", fields{"permissions": []fields{}, "built_in": true}).Refused(400, "VALIDATION_ERROR")
}

func TestAdmin_TheLastOneStays(t *testing.T) {
	admin, _ := administration(t)
	self := "/v1/users/" + admin.User.ID
	admin.Do("DELETE", self, nil).Refused(409, "CONFLICT")
	admin.Do("PATCH", self, fields{"status": "blocked"}).Refused(409, "CONFLICT")
	admin.Do("PATCH", self, fields{"roles": []string{"guest"}}).Refused(409, "CONFLICT")
	for _, role := range []string{"admin", "guest"} {
		admin.Do("DELETE", "/v1/roles/"+role, nil).Refused(409, "CONFLICT")
	}
	admin.Do("PUT", "/v1/roles/admin", fields{"permissions": []fields{}}).Refused(409, "CONFLICT")
	admin.Do("GET", "/v1/users/me", nil).Is(200)
}

func TestAdmin_ActsNoMoreAfterTheirOwnRevocation(t *testing.T) {
	admin, second := administration(t)
	admin.Do("PATCH", "/v1/users/"+second.User.ID, fields{"roles": []string{"admin"}}).Is(200)
	second.Refresh().Is(200)
	second.Do("GET", "/v1/users", nil).Is(200)
	admin.Do("PATCH", "/v1/users/"+second.User.ID, fields{"roles": []string{"guest"}}).Is(200)
	second.Do("PATCH", "/v1/users/"+admin.User.ID, fields{"status": "blocked"}).Refused(401, "TOKEN_STALE")
	second.Refresh().Is(200)
	second.Do("PATCH", "/v1/users/"+admin.User.ID, fields{"status": "blocked"}).Refused(403, "FORBIDDEN")
	admin.Do("DELETE", "/v1/users/"+second.User.ID, nil).Is(204)
	second.Do("GET", "/v1/users/me", nil).Refused(401, "INVALID_TOKEN")
	second.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
}

// A change of a role is one entry in the log; the gateway and the files service must refuse every holder's token by it.
func TestAdmin_AChangedRoleIsTakenAtOnceEverywhere(t *testing.T) {
	admin, ada := administration(t)
	ada.Upload("a.txt", []byte("a")).Is(201)
	admin.Do("PUT", "/v1/roles/guest", fields{"permissions": []fields{right("users", "read", "self")}}).Is(200)
	changed := time.Now()
	for _, path := range []string{"/v1/files", "/v1/users/me"} {
		for ada.Do("GET", path, nil).Status == 200 { // the log is on its way
			if time.Since(changed) > soon {
				t.Fatal("the old rights outlive the change")
			}
		}
		ada.Do("GET", path, nil).Refused(401, "TOKEN_STALE")
	}
	ada.Refresh().Is(200)
	ada.Do("GET", "/v1/users/me", nil).Is(200)
	ada.Do("GET", "/v1/files", nil).Refused(403, "FORBIDDEN")
}
