package hookhttp_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/hookhttp"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/secret"
)

func secretOf(fill byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(fill)), 32)))
}

func target(url, words string) hookhttp.Target {
	return hookhttp.Target{
		Endpoint: "a", URL: url, Secret: func() (secret.String, error) { return secret.NewString(words), nil }, AllowPrivate: true,
		Timeout: 300 * time.Millisecond,
	}
}

func sender(t *testing.T, to hookhttp.Target) *hookhttp.Sender {
	t.Helper()
	s, err := hookhttp.New([]hookhttp.Target{to}, func(f files.File) any { return map[string]string{"name": f.Name} }, func() time.Time {
		return time.Unix(1_700_000_000, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

var message = webhook.Message{
	ID: "msg_1", Event: files.Event{Seq: 7, Kind: files.FileCreated, Owner: "ann", File: "f", Version: 1, At: time.Unix(1, 0)}, File: &files.File{Name: "n"},
}

// The receiver's behaviours, and what each must come to. Each attempt ends within its timeout.
func TestSend_WhateverTheReceiverDoes(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if len(header) > 0 {
				w.Header().Set(header[0], header[1])
			}
			w.WriteHeader(code)
		}
	}
	for name, c := range map[string]struct {
		does http.HandlerFunc
		want webhook.Outcome
	}{
		"takes it":          {status(204), webhook.Outcome{Result: webhook.Delivered, Status: 204}},
		"fails":             {status(500), webhook.Outcome{Result: webhook.Refused, Status: 500}},
		"is gone":           {status(410), webhook.Outcome{Result: webhook.Gone, Status: 410}},
		"redirects":         {status(307, "Location", elsewhere.URL), webhook.Outcome{Result: webhook.Refused, Status: 307}},
		"wants a pause":     {status(429, "Retry-After", "120"), webhook.Outcome{Result: webhook.Refused, Status: 429, RetryAfter: 2 * time.Minute}},
		"wants too much":    {status(503, "Retry-After", "9223372036854775807"), webhook.Outcome{Result: webhook.Refused, Status: 503, RetryAfter: 24 * time.Hour}},
		"speaks in tongues": {status(503, "Retry-After", "-5"), webhook.Outcome{Result: webhook.Refused, Status: 503}},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, webhook.Outcome{Result: webhook.TimedOut}},
		"floods": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 10<<20))
		}, webhook.Outcome{Result: webhook.Delivered, Status: 200}},
		"floods and announces it": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10485760")
			_, _ = w.Write(make([]byte, 10<<20))
		}, webhook.Outcome{Result: webhook.Delivered, Status: 200}},
		"answers and never ends": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, webhook.Outcome{Result: webhook.Delivered, Status: 200}},
		"closes": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, webhook.Outcome{Result: webhook.Unreachable}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(c.does)
			defer srv.Close()
			began := time.Now()
			if got := sender(t, target(srv.URL, secretOf('a'))).Send(t.Context(), "a", message); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestSend_NeverToAnAddressThatIsNotAllowed(t *testing.T) {
	touched := func(http.ResponseWriter, *http.Request) { t.Error("the request came through") }
	srv := httptest.NewServer(http.HandlerFunc(touched))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	for _, host := range []string{
		"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "0.0.0.0", "2130706433", "0177.0.0.1", "0x7f000001", "127.1",
		"10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[64:ff9b::7f00:1]",
	} {
		to := target("http://"+host+":"+port+"/", secretOf('a'))
		to.AllowPrivate = false
		got := sender(t, to).Send(t.Context(), "a", message).Result
		// Numbers that are no address in Go's eyes are names; a resolver that reads them as addresses is judged when dialling.
		if got != webhook.Blocked && (strings.ContainsAny(host, ".:[") && !strings.HasPrefix(host, "0177") && host != "127.1") {
			t.Errorf("%s: %s", host, got)
		}
		if got == webhook.Delivered {
			t.Errorf("%s was called", host)
		}
	}
	inside := target("http://169.254.169.254/", secretOf('a'))
	if got := sender(t, inside).Send(t.Context(), "a", message).Result; got != webhook.Blocked {
		t.Errorf("metadata with private addresses allowed: %s", got)
	}
}

func TestSend_SignsWithEachKey(t *testing.T) {
	var header http.Header
	var body []byte
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
	}))
	defer srv.Close()
	words := secretOf('a')
	to := target(srv.URL, "")
	to.Secret = func() (secret.String, error) { return secret.NewString(words), nil }
	s := sender(t, to)
	s.Send(t.Context(), "a", message)
	first := header.Get("Webhook-Signature")
	words = secretOf('b') + "\n" + secretOf('a')
	s.Send(t.Context(), "a", message)
	both := strings.Fields(header.Get("Webhook-Signature"))
	if len(both) != 2 || both[1] != first || both[0] == first || !strings.HasPrefix(first, "v1,") {
		t.Errorf("signatures %q, before the rotation %q", both, first)
	}
	if header.Get("Webhook-Id") != "msg_1" || header.Get("Webhook-Timestamp") != "1700000000" || header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", header)
	}
	var told map[string]any
	if err := json.Unmarshal(body, &told); err != nil || told["type"] != "file.created" || told["sequence"] != 7.0 {
		t.Errorf("body %s, %v", body, err)
	}
	words = "gone"
	if got := s.Send(t.Context(), "a", message).Result; got != webhook.Unsigned {
		t.Errorf("with a secret that is none: %s", got)
	}
}

func TestNew_RefusesASecretThatIsNone(t *testing.T) {
	for _, words := range []string{"", "secret", "whsec_", "whsec_c2hvcnQ=", secretOf('a') + " " + secretOf('b') + " " + secretOf('c'), "whsec_" + strings.Repeat("!", 44)} {
		_, err := hookhttp.New([]hookhttp.Target{target("http://x", words)}, nil, time.Now)
		if err == nil || (len(words) > 8 && strings.Contains(err.Error(), words[6:])) {
			t.Errorf("%q: %v", words, err)
		}
	}
}
