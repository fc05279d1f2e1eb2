package web_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

func TestEdge_PanicIsA500ThatIsLoggedAndCounted(t *testing.T) {
	var logged bytes.Buffer
	reg := prometheus.NewRegistry()
	h := web.Edge(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("on the stairs") }),
		web.EdgeOptions{Listener: "test", Registerer: reg, Log: slog.New(slog.NewJSONHandler(&logged, nil))})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/x?access_token=hidden", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "stairs") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if !strings.Contains(logged.String(), "on the stairs") || strings.Contains(logged.String(), "hidden") {
		t.Errorf("log is %s", &logged)
	}
	want := `
# HELP cloakroom_http_panics_total Handlers that panicked.
# TYPE cloakroom_http_panics_total counter
cloakroom_http_panics_total{listener="test"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "cloakroom_http_panics_total"); err != nil {
		t.Error(err)
	}
}

func TestEdge_RequestIDIsKeptWhenWellFormed(t *testing.T) {
	h := web.Edge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, web.RequestID(r.Context()))
	}), web.EdgeOptions{Listener: "test"})
	for _, c := range []struct {
		name string
		ids  []string
		kept bool
	}{
		{"a plain one is kept", []string{"abc-123_x.y"}, true},
		{"two are not", []string{"a", "b"}, false},
		{"a line break is not", []string{"a\r\nSet-Cookie: x"}, false},
		{"a long one is not", []string{strings.Repeat("a", 65)}, false},
		{"an empty one is not", []string{""}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["X-Request-Id"] = c.ids
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			id := w.Header().Get("X-Request-Id")
			if (id == c.ids[0]) != c.kept || id != w.Body.String() || id == "" {
				t.Errorf("answered with id %q, handler saw %q", id, w.Body)
			}
		})
	}
}

func TestFunc_ErrorAfterTheAnswerBeganCutsTheConnection(t *testing.T) {
	srv := httptest.NewServer(web.Edge(web.Func(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "half")
		return errors.New("disk gone")
	}), web.EdgeOptions{Listener: "test", Log: slog.New(slog.DiscardHandler)}))
	defer srv.Close()
	res, err := http.Get(srv.URL)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("half an answer passed for a whole one")
	}
}

func TestMux_NotFoundAndMethodNotAllowed(t *testing.T) {
	m := web.NewMux()
	ok := web.Func(func(http.ResponseWriter, *http.Request) error { return nil })
	m.Get("/a/{id}", "a.get", ok)
	m.Delete("/a/{id}", "a.delete", ok)
	m.Post("/b", "b", web.Func(func(http.ResponseWriter, *http.Request) error { return fault.New(fault.Conflict, "no") }))
	m.Put("/a/all", "all.put", ok)
	m.Get("/a/all", "all.get", web.Func(func(http.ResponseWriter, *http.Request) error { return fault.New(fault.Conflict, "no") }))
	m.Put("/{what}/2", "what.put", ok)
	h := web.Edge(m, web.EdgeOptions{Listener: "test"})
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/a/1", 200, ""},
		{"HEAD", "/a/1", 200, ""},
		{"PUT", "/a/1", 405, "GET, HEAD, DELETE"},
		{"POST", "/a/1", 405, "GET, HEAD, DELETE"}, // a method that another path takes
		{"GET", "/a/1/", 404, ""},
		{"GET", "//a/1", 404, ""},
		{"GET", "/x/../a/1", 404, ""},
		{"POST", "/b", 409, ""},
		{"GET", "/a/all", 409, ""}, // a path before the templates that match it
		{"DELETE", "/a/all", 200, ""},
		{"POST", "/a/all", 405, "GET, HEAD, DELETE, PUT"},
		{"GET", "/a/{id}", 200, ""}, // what a template is written like is no path of its own
		{"PUT", "/a/2", 200, ""},    // a later template has the method that an earlier one has not
		{"POST", "/a/2", 405, "GET, HEAD, DELETE, PUT"},
		{"PUT", "/{what}/2", 200, ""},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "/", nil)
			r.URL.Path = c.path
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status || w.Header().Get("Allow") != c.allow {
				t.Errorf("got %d, Allow %q", w.Code, w.Header().Get("Allow"))
			}
		})
	}
}

func TestMux_TwoHandlersForOneRequestAreAMistake(t *testing.T) {
	m := web.NewMux()
	h := http.NotFoundHandler()
	m.Get("/a", "a", h)
	defer func() {
		if recover() == nil {
			t.Error("the second was passed over in silence")
		}
	}()
	m.Handle(http.MethodGet, "/a", "b", h)
}

func TestTrustedProxies_Client(t *testing.T) {
	inside := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		name   string
		trust  web.TrustedProxies
		remote string
		xff    []string
		want   string
	}{
		{"nobody is trusted by default", web.TrustedProxies{}, "192.0.2.1:1", []string{"1.1.1.1"}, "192.0.2.1"},
		{"one hop", web.TrustedProxies{Hops: 1}, "10.0.0.1:1", []string{"6.6.6.6, 1.1.1.1"}, "1.1.1.1"},
		{"two hops", web.TrustedProxies{Hops: 2}, "10.0.0.1:1", []string{"6.6.6.6, 1.1.1.1", "10.0.0.2"}, "1.1.1.1"},
		{"a hop that is missing", web.TrustedProxies{Hops: 2}, "10.0.0.1:1", []string{"1.1.1.1"}, "1.1.1.1"},
		{"no header", web.TrustedProxies{Hops: 1}, "10.0.0.1:1", nil, "10.0.0.1"},
		{"an untrusted peer", web.TrustedProxies{CIDRs: inside}, "192.0.2.1:1", []string{"1.1.1.1"}, "192.0.2.1"},
		{"a trusted chain", web.TrustedProxies{CIDRs: inside}, "10.0.0.1:1", []string{"6.6.6.6, 1.1.1.1, 10.9.9.9"}, "1.1.1.1"},
		{"garbage ends the chain", web.TrustedProxies{CIDRs: inside}, "10.0.0.1:1", []string{"1.1.1.1, unknown, 10.0.0.9"}, "10.0.0.9"},
		{"IPv4 inside IPv6", web.TrustedProxies{}, "[::ffff:192.0.2.1]:1", nil, "192.0.2.1"},
		{"IPv6 in brackets with a port", web.TrustedProxies{Hops: 1}, "10.0.0.1:1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"a hundred entries", web.TrustedProxies{Hops: 1}, "10.0.0.1:1", []string{strings.Repeat("6.6.6.6,", 99) + "1.1.1.1"}, "1.1.1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
			if c.xff != nil {
				r.Header["X-Forwarded-For"] = c.xff
			}
			if got := c.trust.Client(r).String(); got != c.want {
				t.Errorf("client is %s, want %s", got, c.want)
			}
		})
	}
}

func TestCursorCodec_OpensOnlyItsOwn(t *testing.T) {
	type position struct{ After string }
	codec, other := web.NewCursorCodec([32]byte{1}), web.NewCursorCodec([32]byte{2})
	sealed := codec.Seal(position{"x"})
	var got position
	if err := codec.Open(sealed, &got); err != nil || got.After != "x" {
		t.Fatalf("own cursor: %v %v", got, err)
	}
	flipped := []byte(sealed)
	flipped[len(flipped)/2] ^= 1
	for _, bad := range []string{"", "x", "=", string(flipped), other.Seal(position{"x"}), sealed + "A", strings.Repeat("A", 1<<20)} {
		if err := codec.Open(bad, &got); fault.KindOf(err) != fault.Invalid {
			t.Errorf("cursor %.20q returned %v", bad, err)
		}
	}
}

func TestEdge_FilesStillReachTheKernel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var readFrom bool
	h := web.Edge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, readFrom = w.(io.ReaderFrom)
		http.ServeFile(w, r, path)
	}), web.EdgeOptions{Listener: "test"})
	srv := httptest.NewServer(h)
	defer srv.Close()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if n != 1<<20 || err != nil || !readFrom {
		t.Errorf("read %d bytes, %v; ReaderFrom kept: %v", n, err, readFrom)
	}
}

func TestRequest_IsThereInside(t *testing.T) {
	h := web.Edge(web.JSON(func(ctx context.Context, _ struct{}) (web.NoContent, error) {
		if web.Request(ctx) == nil || web.ClientAddr(ctx).String() != "192.0.2.1" {
			t.Errorf("request %v, client %v", web.Request(ctx), web.ClientAddr(ctx))
		}
		return web.NoContent{}, nil
	}), web.EdgeOptions{Listener: "test"})
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if web.Request(t.Context()) != nil || web.RequestID(t.Context()) != "" {
		t.Error("there is a request outside of one")
	}
}

func TestQuiet_AnsweredProbesStayOutOfTheLog(t *testing.T) {
	for _, c := range []struct {
		status int
		logged bool
	}{{200, false}, {503, false}, {500, true}} {
		var logged bytes.Buffer
		h := web.Edge(web.Quiet(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) })),
			web.EdgeOptions{Listener: "test", Log: slog.New(slog.NewJSONHandler(&logged, nil))})
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/readyz", nil))
		if (logged.Len() > 0) != c.logged {
			t.Errorf("%d was logged as %q", c.status, &logged)
		}
	}
}
