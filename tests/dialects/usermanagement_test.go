package dialects

import (
	"net/http"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

func may(action string, methods ...string) (list []any) {
	for _, method := range methods {
		list = append(list, fields{"action": action, "method": method, "resource": "users"})
	}
	return list
}

// userOf is a user as this contract shows them.
func userOf(username, role string, blacklisted bool) fields {
	permissions := may("self", "GET", "PATCH", "DELETE")
	if role == "admin" {
		permissions = may("all", "GET", "POST", "PATCH", "DELETE")
	}
	return fields{
		"_id": id, "username": username, "roles": []any{role}, "permissions": permissions, "blacklisted": blacklisted,
		"created_at": millis, "updated_at": millis,
	}
}

func created(username, role string) fields {
	u := userOf(username, role, false)
	u["acknowledged"], u["insertedId"] = true, id
	return fields{"success": true, "data": u}
}

func failed(text any) fields { return fields{"success": false, "message": text} }

// register makes a guest and returns the username and the id.
func register(m mount) (username, userID string) {
	m.t.Helper()
	username, _ = person()
	userID = m.do("POST", "/v1/users", fields{"username": username, "password": harness.Password}).is(202, created(username, "guest")).text(m.t, "data", "_id")
	return username, userID
}

// enter logs in and returns both cookies.
func enter(m mount, username string) (access, refresh *http.Cookie) {
	m.t.Helper()
	a := m.do("POST", "/v1/login", fields{"username": username, "password": harness.Password})
	a.is(200, fields{"success": true, "message": username + " has been authenticated successfully."})
	return a.cookieOf("access_token"), a.cookieOf("refresh_token")
}

// crown makes an administrator by the one-time token.
func crown(s *harness.Stack, m mount) (access *http.Cookie) {
	m.t.Helper()
	username, _ := person()
	token := s.Bootstrap().BootstrapToken
	if len(token) != 50 {
		m.t.Fatalf("the bootstrap token has %d characters", len(token))
	}
	who := fields{"username": username, "password": harness.Password}
	m.do("POST", "/v1/users", who, with("X-Auth-Token", strings.Repeat("x", 50))).is(403, failed(anything))
	m.do("POST", "/v1/users", who, with("X-Auth-Token", token)).is(202, created(username, "admin"))
	m.do("POST", "/v1/users", fields{"username": username + "2", "password": harness.Password}, with("X-Auth-Token", token)).is(403, failed(anything))
	access, _ = enter(m, username)
	return access
}

func TestUserManagement_SignsInAsItsDocumentSays(t *testing.T) {
	onBoth(t, start(t), "user-management", func(t *testing.T, m mount) {
		path := "/"
		if m.host == "" {
			path = "/compat/user-management/"
		}
		username, _ := register(m)
		access, refresh := enter(m, username)
		for _, c := range []*http.Cookie{access, refresh} {
			if c.Path != path || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode {
				t.Errorf("the cookie is %v", c)
			}
		}
		if access.MaxAge != 60 {
			t.Errorf("the access cookie lives for %d s", access.MaxAge)
		}
		header, payload := claims(t, access.Value)
		if header["alg"] != "RS512" || payload["exp"].(float64)-payload["iat"].(float64) != 60 {
			t.Errorf("the token is %v %v", header, payload)
		}
		me := fields{"success": true, "user": userOf(username, "guest", false)}
		m.do("GET", "/v1/users/me", nil, withCookie(access)).is(200, me)
		next := m.do("GET", "/v1/refresh/jwt", nil, withCookie(refresh))
		next.is(200, fields{"success": true, "message": "JWT token has been refreshed successfully."})
		if next.cookieOf("refresh_token").Value == refresh.Value || next.cookieOf("access_token").Value == access.Value {
			t.Error("a refresh brought the same cookies")
		}
		m.do("GET", "/v1/users/me", nil, withCookie(next.cookieOf("access_token"))).is(200, me)
		m.do("GET", "/v1/refresh/jwt", nil, withCookie(next.cookieOf("refresh_token"))).is(200, fields{"success": true, "message": anything})
	})
}

func TestUserManagement_RefusesInItsOwnWords(t *testing.T) {
	onBoth(t, start(t), "user-management", func(t *testing.T, m mount) {
		username, userID := register(m)
		access, refresh := enter(m, username)
		m.do("POST", "/v1/users", nil).is(400, failed("Invalid request. Request body is empty."))
		m.do("POST", "/v1/users", fields{"password": "x"}).is(400, failed("Username is empty."))
		m.do("POST", "/v1/users", fields{"username": "x"}).is(400, failed("Password is empty."))
		m.do("POST", "/v1/users", fields{"username": username, "password": harness.Password}).is(409, failed("Username already exists."))
		m.do("POST", "/v1/users", fields{"username": username + "x", "password": "short"}).is(400, failed(anything))
		m.do("POST", "/v1/users", fields{"username": username + "y", "password": harness.Password, "roles": []string{"admin"}}).is(403, failed("Forbidden access."))
		m.do("POST", "/v1/users", fields{"username": username + "y", "password": harness.Password, "permissions": may("all", "GET")}).is(403, failed("Forbidden access."))
		m.do("POST", "/v1/login", fields{}).is(403, failed("Username is empty."))
		m.do("POST", "/v1/login", fields{"username": username}).is(403, failed("Password is empty."))
		for _, name := range append([]string{username, "nobody" + username}, injections...) {
			m.do("POST", "/v1/login", fields{"username": name, "password": "wrong"}).is(403, failed("Invalid username or password."))
		}
		for _, path := range []string{"/v1/users/me", "/v1/users", "/v1/users/" + userID} {
			m.do("GET", path, nil).is(403, failed("JWT Token has expired. Please generate a new token."))
			m.do("GET", path, nil, bearer(access.Value)).is(403, failed(anything)) // a bearer is no cookie
			for what, forged := range forgeries(access.Value) {
				if strings.ContainsAny(forged, `; "`) {
					continue // no cookie at all
				}
				if a := m.do("GET", path, nil, with("Cookie", "access_token="+forged)); a.status != 401 || !strings.HasPrefix(string(a.body), `{"success":false,"message":"Invalid token."`) {
					t.Errorf("%s: %s answered %d %s", what, path, a.status, a.body)
				}
			}
		}
		m.do("GET", "/v1/users", nil, withCookie(access)).is(403, failed(anything))
		_, stranger := register(m)
		m.do("GET", "/v1/users/"+stranger, nil, withCookie(access)).is(403, failed(anything))
		m.do("DELETE", "/v1/users/"+stranger, nil, withCookie(access)).is(403, failed(anything))
		m.do("PATCH", "/v1/users/"+stranger, fields{"username": "mine"}, withCookie(access)).is(403, failed(anything))
		m.do("PATCH", "/v1/users/"+userID, fields{"roles": []string{"admin"}}, withCookie(access)).is(403, failed(anything))
		m.do("PATCH", "/v1/users/"+userID, fields{"permissions": may("all", "GET")}, withCookie(access)).is(403, failed(anything))
		m.do("PATCH", "/v1/users/"+userID, fields{"blacklisted": false}, withCookie(access)).is(403, failed(anything))
		m.do("PATCH", "/v1/users/"+userID, fields{}, withCookie(access)).is(400, failed(anything))
		m.do("GET", "/v1/refresh/jwt", nil).is(400, failed("Invalid request."))
		m.do("GET", "/v1/refresh/jwt", nil, with("Cookie", "refresh_token="+strings.Repeat("a", 128))).is(400, failed("Invalid request."))
		at := strings.LastIndexByte(refresh.Value, '.')
		for _, bent := range []string{refresh.Value[:at], strings.Replace(refresh.Value, userID, stranger, 1), refresh.Value + "A"} {
			m.do("GET", "/v1/refresh/jwt", nil, with("Cookie", "refresh_token="+bent)).is(400, failed("Invalid request."))
		}
		m.do("GET", "/v1/nowhere", nil).is(404, failed(anything))
		m.do("PUT", "/v1/users/me", nil).is(405, failed(anything))
		m.do("POST", "/v1/login", `{"username":"`+strings.Repeat("a", 1<<20)+`"}`).is(413, failed(anything))
	})
}

func TestUserManagement_PeopleLookAfterThemselves(t *testing.T) {
	s := start(t)
	onBoth(t, s, "user-management", func(t *testing.T, m mount) {
		username, userID := register(m)
		access, _ := enter(m, username)
		other, _ := enter(m, username)
		m.do("GET", "/v1/users/"+userID, nil, withCookie(access)).is(200, fields{"success": true, "data": userOf(username, "guest", false)})
		renamed := username + "x"
		m.do("PATCH", "/v1/users/"+userID, fields{"username": renamed, "password": harness.Password + "x"}, withCookie(access)).is(200, fields{
			"success": true, "message": "Fields have been updated successfully.", "fields_updated": fields{"username": true, "password": true},
		})
		m.do("GET", "/v1/users/me", nil, withCookie(other)).is(401, failed("Invalid token."))
		m.do("POST", "/v1/login", fields{"username": renamed, "password": harness.Password}).is(403, failed(anything))
		m.do("POST", "/v1/login", fields{"username": renamed, "password": harness.Password + "x"}).is(200, fields{"success": true, "message": anything})
		m.do("DELETE", "/v1/users/"+userID, nil, withCookie(access)).is(200, fields{"success": true, "message": "The user has been deleted."})
		m.do("POST", "/v1/login", fields{"username": renamed, "password": harness.Password + "x"}).is(403, failed("Invalid username or password."))
	})
}

func TestUserManagement_AnAdministratorLooksAfterAll(t *testing.T) {
	s := start(t)
	m := mounts(t, s, "user-management")["by host"]
	me := withCookie(crown(s, m))
	username, userID := register(m)
	m.do("PATCH", "/v1/users/"+userID, fields{"permissions": may("all", "GET")}, me).is(200, fields{
		"success": true, "message": anything, "fields_updated": fields{"permissions": true},
	})
	more := userOf(username, "guest", false)
	more["permissions"] = append(append(may("self", "GET"), may("all", "GET")...), may("self", "PATCH", "DELETE")...)
	m.do("GET", "/v1/users/"+userID, nil, me).is(200, fields{"success": true, "data": more})
	m.do("PATCH", "/v1/users/"+userID, fields{"permissions": may("all", "PUT")}, me).is(400, failed(anything))
	m.do("PATCH", "/v1/users/"+userID, fields{"roles": []string{"nobody"}}, me).is(400, failed(anything))
	m.do("PATCH", "/v1/users/"+userID, fields{"password": harness.Password}, me).is(403, failed("A password is changed by the person alone."))

	made := username + "y"
	m.do("POST", "/v1/users", fields{"username": made, "password": harness.Password, "roles": []string{"admin"}}, me).is(202, created(made, "admin"))

	list := m.do("GET", "/v1/users?page=1&per_page=2&order_by=username&order_type=desc", nil, me).is(200, fields{"success": true, "data": anyList{}})
	if people := list["data"].([]any); len(people) != 2 || people[0].(map[string]any)["username"].(string) < people[1].(map[string]any)["username"].(string) {
		t.Errorf("the list is %v", people)
	}
	m.do("GET", "/v1/users?per_page=1", nil, me).is(200, fields{"success": true, "data": []any{userOf(made, "admin", false)}})
	m.do("GET", "/v1/users?page=1000", nil, me).is(200, fields{"success": true, "data": []any{}})
	for _, bad := range []string{"page=x", "page=0", "page=-1", "per_page=1e9", "per_page=100000", "order_by=hash", "order_by=id%3Bdrop", "order_type=up", "page=1&page=2"} {
		m.do("GET", "/v1/users?"+bad, nil, me).is(400, failed(anything))
	}

	theirs, refresh := enter(m, username)
	m.do("PATCH", "/v1/users/"+userID, fields{"blacklisted": true}, me).is(200, fields{
		"success": true, "message": anything, "fields_updated": fields{"blacklisted": true},
	})
	m.do("GET", "/v1/users/me", nil, withCookie(theirs)).is(401, failed(anything))
	m.do("GET", "/v1/refresh/jwt", nil, withCookie(refresh)).is(403, failed("User is blacklisted."))
	m.do("POST", "/v1/login", fields{"username": username, "password": harness.Password}).is(403, failed("User is blacklisted."))
	m.do("POST", "/v1/login", fields{"username": username, "password": "wrong"}).is(403, failed("Invalid username or password."))
	m.do("DELETE", "/v1/users/"+userID, nil, me).is(200, fields{"success": true, "message": "The user has been deleted."})
	m.do("GET", "/v1/users/"+userID, nil, me).is(404, failed(anything))
}

func TestUserManagement_ASpentCookieEndsItsSession(t *testing.T) {
	s := start(t, harness.Replace(t, "accessTTL: 1m\n", "accessTTL: 1m\n  reuseWindow: 0s\n"))
	m := mounts(t, s, "user-management")["by path"]
	username, _ := register(m)
	_, refresh := enter(m, username)
	next := m.do("GET", "/v1/refresh/jwt", nil, withCookie(refresh))
	next.is(200, fields{"success": true, "message": anything})
	m.do("GET", "/v1/refresh/jwt", nil, withCookie(refresh)).is(400, failed("Invalid request."))
	m.do("GET", "/v1/refresh/jwt", nil, withCookie(next.cookieOf("refresh_token"))).is(400, failed("Invalid request."))
	m.do("GET", "/v1/users/me", nil, withCookie(next.cookieOf("access_token"))).is(401, failed("Invalid token."))
}
