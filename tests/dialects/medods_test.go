package dialects

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

var medodsPair = fields{"access": jwt, "refresh": jwt}

func apiKey(key string) http.Header { return with("X-API-Key", key) }

// keyWith makes an API key of the first administrator.
func keyWith(t *testing.T, s *harness.Stack, permissions ...string) string {
	t.Helper()
	var rights []fields
	for _, p := range permissions {
		parts := strings.Split(p, ":")
		rights = append(rights, fields{"resource": parts[0], "action": parts[1], "scope": parts[2]})
	}
	admin := harness.NewClient(t, s.Public).LogIn("admin", s.Bootstrap().Admin.Password)
	var made struct {
		Key string `json:"key"`
	}
	admin.Do("POST", "/v1/api-keys", fields{"name": "medods", "permissions": rights}).Is(201).JSON(&made)
	return made.Key
}

// refreshing is the call with a pair in its query.
func refreshing(p fields) string {
	return "/auth/refresh?" + url.Values{"accessToken": {p["access"].(string)}, "refreshToken": {p["refresh"].(string)}}.Encode()
}

func TestMedods_SpeaksItsDocument(t *testing.T) {
	s := start(t)
	key := keyWith(t, s, "sessions:create:all")
	onBoth(t, s, "medods", func(t *testing.T, m mount) {
		ada := harness.NewClient(t, s.Public).SignUp()
		first := m.do("GET", "/auth/login?userId="+ada.User.ID, nil, apiKey(key)).is(200, medodsPair)
		m.do("POST", "/auth/login?userId="+ada.User.ID, nil, apiKey(key)).is(200, medodsPair)
		m.do("POST", "/auth/login", fields{"userId": ada.User.ID}, apiKey(key)).is(200, medodsPair)

		header, access := claims(t, first.text(t, "access"))
		if header["alg"] != "RS512" || access["userId"] != ada.User.ID || access["userIp"] != "127.0.0.1" {
			t.Errorf("the access token is %v %v", header, access)
		}
		header, refresh := claims(t, first.text(t, "refresh"))
		if header["alg"] != "RS512" || len(refresh) != 5 || refresh["linkerId"] != access["linkerId"] || refresh["tokenFamily"] != access["sid"] ||
			refresh["exp"].(float64)-refresh["iat"].(float64) > 7*24*3600 || refresh["jti"] == "" {
			t.Errorf("the refresh token is %v %v", header, refresh)
		}
		if diff := unlike("linkerId", access["linkerId"], id); diff != "" {
			t.Error(diff)
		}
		second := m.do("GET", refreshing(first), nil).is(200, medodsPair)
		third := m.do("POST", "/auth/refresh", fields{"refreshToken": second["refresh"], "accessToken": second["access"]}).is(200, medodsPair)
		fourth := m.do("POST", refreshing(third), nil).is(200, medodsPair)
		_, again := claims(t, fourth.text(t, "refresh"))
		if again["tokenFamily"] != refresh["tokenFamily"] || again["linkerId"] == refresh["linkerId"] || again["jti"] == refresh["jti"] {
			t.Errorf("from %v to %v", refresh, again)
		}
	})
}

func TestMedods_AKeyVouchesForWhomItMay(t *testing.T) {
	s := start(t)
	m := mounts(t, s, "medods")["by path"]
	key, other := keyWith(t, s, "sessions:create:all"), keyWith(t, s, "sessions:read:all")
	c := harness.NewClient(t, s.Public)
	ada, admin := c.SignUp(), c.LogIn("admin", s.Bootstrap().Admin.Password)
	login := "/auth/login?userId="
	m.do("GET", login+ada.User.ID, nil).is(401, fields{"error": anything})
	m.do("GET", login+ada.User.ID, nil, apiKey("crk_nonsense")).is(401, refuses("invalid API key"))
	m.do("GET", login+ada.User.ID, nil, bearer(ada.Session.AccessToken)).is(401, fields{"error": anything})
	m.do("GET", login+ada.User.ID, nil, apiKey(other)).is(403, fields{"error": anything})
	m.do("GET", login+"019a0000-0000-7000-8000-000000000000", nil, apiKey(other)).is(403, fields{"error": anything})
	m.do("GET", login+"019a0000-0000-7000-8000-000000000000", nil, apiKey(key)).is(404, fields{"error": anything})
	m.do("GET", "/auth/login", nil, apiKey(key)).is(400, fields{"error": anything})
	m.do("GET", login+ada.User.ID+"&userId="+admin.User.ID, nil, apiKey(key)).is(400, fields{"error": anything})
	for _, text := range injections {
		if a := m.do("GET", login+url.QueryEscape(text), nil, apiKey(key)); a.status != 404 && a.status != 400 {
			t.Errorf("%q answered %d %s", text, a.status, a.body)
		}
	}
	// Nobody vouches for an administrator, or for who may more than the key.
	m.do("GET", login+admin.User.ID, nil, apiKey(key)).is(403, fields{"error": anything})
	m.do("GET", login+admin.User.ID, nil, apiKey(s.Bootstrap().APIKey)).is(403, fields{"error": anything})
	admin.Do("PATCH", "/v1/users/"+ada.User.ID, fields{"permissions": []fields{{"resource": "files", "action": "read", "scope": "all"}}}).Is(200)
	m.do("GET", login+ada.User.ID, nil, apiKey(key)).is(403, fields{"error": anything})
	admin.Do("PATCH", "/v1/users/"+ada.User.ID, fields{"permissions": []fields{}}).Is(200)
	m.do("GET", login+ada.User.ID, nil, apiKey(key)).is(200, medodsPair)
	admin.Do("PATCH", "/v1/users/"+ada.User.ID, fields{"status": "blocked"}).Is(200)
	m.do("GET", login+ada.User.ID, nil, apiKey(key)).is(403, fields{"error": anything})
	m.do("GET", "/nowhere", nil).is(404, fields{"error": anything})
	m.do("DELETE", "/auth/login", nil).is(405, fields{"error": anything})
}

func TestMedods_OnlyAPairRefreshes(t *testing.T) {
	s := start(t)
	key := keyWith(t, s, "sessions:create:all")
	onBoth(t, s, "medods", func(t *testing.T, m mount) {
		ada := harness.NewClient(t, s.Public).SignUp()
		login := func() fields {
			return m.do("GET", "/auth/login?userId="+ada.User.ID, nil, apiKey(key)).is(200, medodsPair)
		}
		one, two := login(), login()
		refuse := func(what string, p fields) {
			t.Helper()
			if a := m.do("GET", refreshing(p), nil); a.status != 401 || !strings.HasPrefix(string(a.body), `{"error":"`) {
				t.Errorf("%s answered %d %s", what, a.status, a.body)
			}
		}
		refuse("the access token of another pair", fields{"access": two["access"], "refresh": one["refresh"]})
		refuse("our own access token", fields{"access": ada.Session.AccessToken, "refresh": one["refresh"]})
		refuse("our own refresh token", fields{"access": one["access"], "refresh": ada.Session.RefreshToken})
		refuse("the access token twice", fields{"access": one["access"], "refresh": one["access"]})
		refuse("the refresh token twice", fields{"access": one["refresh"], "refresh": one["refresh"]})
		refuse("the other way round", fields{"access": one["refresh"], "refresh": one["access"]})
		for what, forged := range forgeries(one.text(t, "refresh")) {
			refuse("refresh token: "+what, fields{"access": one["access"], "refresh": forged})
		}
		for what, forged := range forgeries(one.text(t, "access")) {
			refuse("access token: "+what, fields{"access": forged, "refresh": one["refresh"]})
		}
		m.do("GET", "/auth/refresh?accessToken="+one.text(t, "access"), nil).is(400, fields{"error": anything})
		m.do("GET", "/auth/refresh", nil).is(400, fields{"error": anything})
		m.do("POST", refreshing(one), fields{"accessToken": one["access"]}).is(400, fields{"error": anything})
		// What is inside the refresh token opens nothing at our own contract.
		_, inside := claims(t, one.text(t, "refresh"))
		secret := strings.Split(inside.text(t, "jti"), ".")[1]
		for _, text := range []string{"crr_" + secret, inside.text(t, "jti"), one.text(t, "refresh")} {
			harness.NewClient(t, s.Public).Do("POST", "/v1/auth/refresh", fields{"refresh_token": text}).Refused(401, "INVALID_REFRESH_TOKEN")
		}
		// A refresh token is no access token, here or in our own contract.
		harness.NewClient(t, s.Public).Do("GET", "/v1/users/me", nil, harness.Header("Authorization", "Bearer "+one.text(t, "refresh"))).Refused(401, "INVALID_TOKEN")
		m.do("GET", refreshing(one), nil).is(200, medodsPair) // none of it has spent anything
	})
}

func TestMedods_ReuseEndsTheFamily(t *testing.T) {
	s := start(t)
	m := mounts(t, s, "medods")["by host"]
	ada := harness.NewClient(t, s.Public).SignUp()
	key := keyWith(t, s, "sessions:create:all")
	first := m.do("GET", "/auth/login?userId="+ada.User.ID, nil, apiKey(key)).is(200, medodsPair)
	second := m.do("GET", refreshing(first), nil).is(200, medodsPair)
	m.do("GET", refreshing(first), nil).is(401, refuses("invalid token"))
	m.do("GET", refreshing(second), nil).is(401, refuses("invalid token"))
	mixed := fields{"access": first["access"], "refresh": second["refresh"]}
	m.do("GET", refreshing(mixed), nil).is(401, fields{"error": anything})

	third := m.do("GET", "/auth/login?userId="+ada.User.ID, nil, apiKey(key)).is(200, medodsPair)
	_, inside := claims(t, third.text(t, "access"))
	ada.Do("DELETE", "/v1/auth/sessions/"+inside.text(t, "sid"), nil).Is(204)
	m.do("GET", refreshing(third), nil).is(401, refuses("invalid token"))
}

func TestMedods_AnotherAddressIsToldAndAudited(t *testing.T) {
	s := start(t)
	m := mounts(t, s, "medods")["by path"]
	name, email := person()
	c := harness.NewClient(t, s.Public)
	c.Do("POST", "/v1/auth/signup", fields{"username": name, "email": email, "password": harness.Password}).Is(201)
	ada := c.LogIn(name, harness.Password)
	key := keyWith(t, s, "sessions:create:all")
	first := m.do("GET", "/auth/login?userId="+ada.User.ID, nil, apiKey(key)).is(200, medodsPair)
	second := m.do("GET", refreshing(first), nil).is(200, medodsPair) // from the same address: nothing is told
	third := from(t, "127.0.0.2", strings.Replace(m.base, "localhost", "127.0.0.1", 1)+refreshing(second))
	_, inside := claims(t, third.text(t, "access"))
	if inside["userIp"] != "127.0.0.2" {
		t.Errorf("the token says %v", inside["userIp"])
	}
	admin := c.LogIn("admin", s.Bootstrap().Admin.Password)
	var trail struct{ Items []fields }
	admin.Do("GET", "/v1/audit?action=session.address_change", nil).Is(200).JSON(&trail)
	if len(trail.Items) != 1 || trail.Items[0]["target"] != "session:"+inside.text(t, "sid") {
		t.Errorf("the trail has %v", trail.Items)
	}
	told := func() (n int) {
		for _, path := range mailsIn(t, s) {
			if raw, err := os.ReadFile(path); err == nil && strings.Contains(string(raw), "from another network") && strings.Contains(string(raw), email) {
				n++
			}
		}
		return n
	}
	eventually(t, func() bool { return told() == 1 })
}

// from sends a call from another address of this machine, and returns the pair it brings.
func from(t *testing.T, address, url string) (pair fields) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&pair); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("answered %d: %v", res.StatusCode, err)
	}
	return pair
}

func mailsIn(t *testing.T, s *harness.Stack) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(s.Dir, "mail", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// The tokens of a query stand in no log, no metric.
func TestMedods_TokensInQueriesAreRedacted(t *testing.T) {
	s := start(t)
	m := mounts(t, s, "medods")["by host"]
	ada := harness.NewClient(t, s.Public).SignUp()
	key := keyWith(t, s, "sessions:create:all")
	first := m.do("GET", "/auth/login?userId="+ada.User.ID, nil, apiKey(key)).is(200, medodsPair)
	m.do("GET", refreshing(first), nil).is(200, medodsPair)
	m.do("GET", refreshing(first), nil).is(401, fields{"error": anything})
	m.do("GET", strings.Replace(refreshing(first), "/auth/refresh", "/auth/nowhere", 1), nil).is(404, fields{"error": anything})
	res, err := http.Get(s.Ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	metrics := new(strings.Builder)
	if _, err := copyTo(metrics, res); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{first.text(t, "access"), first.text(t, "refresh"), key} {
		parts := strings.Split(token, ".")
		tail := parts[len(parts)-1]
		for where, text := range map[string]string{"the log": s.Output(), "metrics": metrics.String()} {
			if len(text) < 1000 || strings.Contains(text, tail) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(token))) {
				t.Errorf("%s has a token, or is empty", where)
			}
		}
	}
}

func copyTo(w io.Writer, res *http.Response) (int64, error) { return io.Copy(w, res.Body) }
