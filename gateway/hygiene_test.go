package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/token/tokentest"
)

// TestHygiene_NoClientSaysWhoItIs sends identity headers in every spelling that some server takes for the real one, on an
// open and on a closed route.
func TestHygiene_NoClientSaysWhoItIs(t *testing.T) {
	w := start(t, setup{
		boot: "  trustedProxies: {none: {}}\n  headerHygiene: {strip: [X-Tenant, \"X-Acme-*\"]}\n",
	})
	raw := w.issuer.Mint(tokentest.Subject("u-1"), tokentest.Roles("guest"))
	forged := []string{
		"X-User-Id: root", "x-user-id: root", "X_User_Id: root", "X-USER_ID: root", "X.User.Id: root", "X-User-Email: a@b",
		"X-Session-Id: s", "X_Session_Mode2: s", "X-Roles: admin", "X_Roles: admin", "x-roles-extra: admin",
		"X-Internal-Auth: 1", "X_INTERNAL_AUTH: 1", "X-Tenant: t", "x_tenant: t",
		"X-Forwarded-For: 1.2.3.4", "X_Forwarded_For: 1.2.3.4", "X-Forwarded-Host: evil", "X-Forwarded-Proto: https",
		"X-Forwarded-Prefix: /evil", "X-Forwarded-User: root", "X-Forwarded: for=1.2.3.4", "Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4",
		"True-Client-IP: 1.2.3.4", "X-Original-URL: /closed/admin", "X-Rewrite-URL: /closed/admin", "X-HTTP-Method-Override: DELETE",
		"X_API_Key: crk_x", "X_Request_Id: forged", "Transfer_Encoding: chunked", "Content_Length: 99",
	}
	allowed := map[string]string{
		"X-User-Id": "u-1", "X-Roles": "guest", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": w.addr, "X-Forwarded-Proto": "http",
	}
	for _, path := range []string{"/open/x", "/closed/x"} {
		for _, hop := range []string{"", "X-User-Id", "X-Forwarded-For, X-Roles", "Authorization", "authorization, x-request-id, X-Forwarded-Proto", "close, X-User-Id"} {
			var text strings.Builder
			fmt.Fprintf(&text, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s\r\n", path, w.addr, bearer(raw), strings.Join(forged, "\r\n"))
			if hop != "" {
				fmt.Fprintf(&text, "Connection: %s\r\n", hop)
			}
			statuses, body, _ := w.raw(text.String() + "\r\n")
			if len(statuses) != 1 || statuses[0] != 200 {
				t.Fatalf("%s with Connection %q: %v %s", path, hop, statuses, body)
			}
			got := w.files.last(t).Header
			for _, line := range forged {
				name, value, _ := strings.Cut(line, ": ")
				for have, values := range got {
					same := strings.EqualFold(strings.NewReplacer("_", "-", ".", "-").Replace(have), strings.NewReplacer("_", "-", ".", "-").Replace(name))
					if same && (allowed[http.CanonicalHeaderKey(have)] == "" || have != http.CanonicalHeaderKey(have)) && have != "X-Request-Id" {
						t.Errorf("%s with Connection %q: %s: %v got through", path, hop, have, values)
					}
					if same && len(values) > 0 && values[0] == value && !strings.Contains(have, "Proto") {
						t.Errorf("%s with Connection %q: the client's own %s: %v got through", path, hop, have, values)
					}
				}
			}
			for name, want := range allowed {
				if path == "/open/x" && (name == "X-User-Id" || name == "X-Roles") {
					want = ""
				}
				if have := strings.Join(got.Values(name), "|"); have != want {
					t.Errorf("%s with Connection %q: %s is %q, want %q", path, hop, name, have, want)
				}
			}
			if path == "/closed/x" && got.Get("Authorization") != "Bearer "+raw {
				t.Errorf("Connection %q took Authorization away: %q", hop, got.Get("Authorization"))
			}
			if len(got.Values("X-Request-Id")) != 1 || got.Get("X-Request-Id") == "forged" {
				t.Errorf("request id %v", got.Values("X-Request-Id"))
			}
			if got.Get("Connection") != "" {
				t.Errorf("Connection went on: %q", got.Get("Connection"))
			}
		}
	}
}

// TestHygiene_TheClientsAddressIsNotItsOwnWord tries to choose an address under each way of trusting.
func TestHygiene_TheClientsAddressIsNotItsOwnWord(t *testing.T) {
	long := strings.TrimSuffix(strings.Repeat("9.9.9.9, ", 100), ", ")
	for _, c := range []struct {
		name, trust string
		headers     []string
		want, proto string
	}{
		{"nobody is trusted", "none: {}", []string{"X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"}, "127.0.0.1", "http"},
		{"nobody is trusted, Forwarded", "none: {}", []string{"Forwarded: for=1.2.3.4;proto=https"}, "127.0.0.1", "http"},
		{"one hop", "hops: 1", []string{"X-Forwarded-For: 1.2.3.4, 5.6.7.8", "X-Forwarded-Proto: https"}, "5.6.7.8", "https"},
		{"one hop, forged in front", "hops: 1", []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 5.6.7.8"}, "5.6.7.8", "http"},
		{"one hop, nothing said", "hops: 1", nil, "127.0.0.1", "http"},
		{"one hop, 100 entries", "hops: 1", []string{"X-Forwarded-For: " + long + ", 5.6.7.8"}, "5.6.7.8", "http"},
		{"one hop, no address", "hops: 1", []string{"X-Forwarded-For: 1.2.3.4, unknown"}, "127.0.0.1", "http"},
		{"two hops", "hops: 2", []string{"X-Forwarded-For: 1.2.3.4, 5.6.7.8, 10.0.0.1"}, "5.6.7.8", "http"},
		{"a network", `cidrs: ["127.0.0.0/8", "10.0.0.0/8"]`, []string{"X-Forwarded-For: 1.2.3.4, 5.6.7.8, 10.0.0.1", "X-Forwarded-Proto: http, https"}, "5.6.7.8", "https"},
		{"a network we are not in", `cidrs: ["10.0.0.0/8"]`, []string{"X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"}, "127.0.0.1", "http"},
		{"IPv4 in IPv6", "hops: 1", []string{"X-Forwarded-For: ::ffff:5.6.7.8"}, "5.6.7.8", "http"},
		{"IPv6 with a port", "hops: 1", []string{"X-Forwarded-For: [2001:db8::1]:4711"}, "2001:db8::1", "http"},
		{"a proto that is none", "hops: 1", []string{"X-Forwarded-For: 5.6.7.8", "X-Forwarded-Proto: javascript"}, "5.6.7.8", "http"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := start(t, setup{boot: "  trustedProxies: {" + c.trust + "}\n"})
			w.want(w.get("/open", c.headers...), 200, "")
			got := w.files.last(t).Header
			if xff := strings.Join(got.Values("X-Forwarded-For"), "|"); xff != c.want || got.Get("X-Forwarded-Proto") != c.proto {
				t.Errorf("%q %q, want %q %q", xff, got.Get("X-Forwarded-Proto"), c.want, c.proto)
			}
		})
	}
}

func TestHygiene_OversizedAndSlowHeadsEnd(t *testing.T) {
	w := start(t, setup{boot: "  trustedProxies: {none: {}}\n  limits: {maxHeaderBytes: 8Ki, readHeaderTimeout: 300ms, idleTimeout: 300ms}\n"})
	if statuses, _, closed := w.raw("GET /open HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 20<<10) + "\r\n\r\n"); len(statuses) != 1 || statuses[0] != 431 || !closed {
		t.Errorf("a large head: %v %v", statuses, closed)
	}
	for name, begin := range map[string]string{
		"nothing": "", "half a request line": "GET /op", "half a head": "GET /open HTTP/1.1\r\nHost: a\r\nX-Slow: ",
	} {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, begin)
		_ = c.SetReadDeadline(time.Now().Add(patience))
		began := time.Now()
		_, err = io.Copy(io.Discard, bufio.NewReader(c))
		if err != nil || time.Since(began) > soon {
			t.Errorf("%s: held for %v, %v", name, time.Since(began), err)
		}
		_ = c.Close()
	}
	if w.files.count() != 0 {
		t.Error("something got through")
	}
}
