package hostile

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// exchange writes bytes on a TCP connection and returns every answer that comes back until the server closes, or is silent for a
// second without having said that it would close.
func exchange(t *testing.T, c *harness.Client, request string) (answers []*http.Response) {
	t.Helper()
	u, err := url.Parse(c.Base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", u.Host, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience)) // a first answer is owed
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "HOST", u.Host)); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			return answers
		}
		body, _ := io.ReadAll(res.Body)
		res.Body = io.NopCloser(strings.NewReader(string(body)))
		answers = append(answers, res)
		if !res.Close {
			_ = conn.SetReadDeadline(time.Now().Add(time.Second)) // a second one would follow at once
		}
	}
}

// problemWithID wants a refusal that every client can read, and that can be found in the log.
func problemWithID(t *testing.T, a *http.Response) {
	t.Helper()
	var doc struct {
		Status         int
		Code, Instance string
	}
	raw, _ := io.ReadAll(a.Body)
	err := json.Unmarshal(raw, &doc)
	if err != nil || a.Header.Get("Content-Type") != "application/problem+json" || doc.Status != a.StatusCode || doc.Code == "" ||
		doc.Instance == "" || doc.Instance != a.Header.Get("X-Request-Id") {
		t.Errorf("answered %q with %v, want a problem document with the request's id", raw, a.Header)
	}
}

func TestFraming(t *testing.T) {
	c := gateway(t)
	const tail = "\r\n\r\n"
	for name, request := range map[string]string{
		"both Content-Length and Transfer-Encoding": "POST /v1/auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked" + tail + "0" + tail + "GET /livez HTTP/1.1\r\nHost: HOST" + tail,
		"two different Content-Lengths":             "POST /v1/auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nContent-Length: 5" + tail + "{}  ",
		"a signed Content-Length":                   "POST /v1/auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: +2" + tail + "{}",
		"a negative Content-Length":                 "POST /v1/auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: -2" + tail + "{}",
		"an unknown Transfer-Encoding":              "POST /v1/auth/login HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip, chunked" + tail + "0" + tail,
		"a folded header":                           "GET /livez HTTP/1.1\r\nHost: HOST\r\nX-A: b\r\n c: d" + tail,
		"a header name with a space":                "GET /livez HTTP/1.1\r\nHost: HOST\r\nContent-Length : 0" + tail,
		"two Hosts":                                 "GET /livez HTTP/1.1\r\nHost: HOST\r\nHost: other" + tail,
		"no Host":                                   "GET /livez HTTP/1.1" + tail,
		"a NUL in a header":                         "GET /livez HTTP/1.1\r\nHost: HOST\r\nX-A: \x00" + tail,
		"two Authorization headers":                 "GET /v1/users/me HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b" + tail,
		"dot segments":                              "GET /v1/files/../users/me HTTP/1.1\r\nHost: HOST" + tail,
		"encoded dot segments":                      "GET /v1/files/%2e%2e/users/me HTTP/1.1\r\nHost: HOST" + tail,
		"an encoded slash":                          "GET /v1/files%2Fusage HTTP/1.1\r\nHost: HOST" + tail,
		"a backslash":                               "GET /v1\\files HTTP/1.1\r\nHost: HOST" + tail,
		"a line that is no request":                 "hello" + tail,
		"a method that is none":                     "G{T /livez HTTP/1.1\r\nHost: HOST" + tail,
		"a version to come":                         "GET /livez HTTP/3.0\r\nHost: HOST" + tail,
		"a host that is none":                       "GET /livez HTTP/1.1\r\nHost: a b" + tail,
		"an encoding that is not chunked":           "POST /livez HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip, chunked" + tail,
		"an expectation":                            "GET /livez HTTP/1.1\r\nHost: HOST\r\nExpect: 200-ok" + tail,
		"a broken escape":                           "GET /v1/files/%zz HTTP/1.1\r\nHost: HOST" + tail,
		"an encoded NUL":                            "GET /v1/files/%00 HTTP/1.1\r\nHost: HOST" + tail,
		"an access token in the query":              "GET /v1/users/me?access_token=abc HTTP/1.1\r\nHost: HOST" + tail,
	} {
		t.Run(name, func(t *testing.T) {
			answers := exchange(t, c, request)
			if len(answers) != 1 {
				t.Fatalf("%d answers to one request", len(answers))
			}
			if s := answers[0].StatusCode; s != http.StatusBadRequest && s != http.StatusNotImplemented {
				t.Errorf("answered %d, want 400", s)
			}
			problemWithID(t, answers[0])
			if !answers[0].Close && answers[0].Header.Get("Connection") != "close" && strings.Contains(name, "Content-Length and") {
				t.Error("the connection stayed open after ambiguous framing")
			}
		})
	}
	t.Run("a header past the limit", func(t *testing.T) {
		a := exchange(t, c, "GET /livez HTTP/1.1\r\nHost: HOST\r\nX-A: "+strings.Repeat("a", 2<<20)+tail)
		if len(a) != 1 || a[0].StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Fatalf("answers %+v, want one 431", a)
		}
		problemWithID(t, a[0])
	})
	t.Run("a target past the limit", func(t *testing.T) {
		a := exchange(t, c, "GET /livez?"+strings.Repeat("a", 2<<20)+" HTTP/1.1\r\nHost: HOST"+tail)
		if len(a) != 1 || a[0].StatusCode != http.StatusRequestURITooLong {
			t.Fatalf("answers %+v, want one 414", a)
		}
		problemWithID(t, a[0])
	})
	t.Run("a header that trickles in", func(t *testing.T) {
		u, _ := url.Parse(c.Base)
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ")
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("the connection was still open after 20 s: %v", err)
		}
	})
}
