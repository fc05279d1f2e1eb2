package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/logtest"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/resourcetest"
	"cloakroom.dev/libs/web"

	authsvc "cloakroom.dev/auth-svc"
)

// house is a whole auth service on a database of its own, behind real listeners. Every exchange with its public
// listener is held against the contract.
type house struct {
	t        *testing.T
	service  *authsvc.Service
	public   *httptest.Server
	internal *httptest.Server
	registry *prometheus.Registry
	source   *resourcetest.Source
	admin    authsvc.Bootstrap
	logs     *logtest.Text
}

type setting func(*v1alpha1.AuthConfig, *v1alpha1.SessionPolicy)

func openHouse(t *testing.T, settings ...setting) *house {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(strings.Repeat("5a", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	boot, policy := resources()
	for _, set := range settings {
		set(boot, policy)
	}
	h := &house{t: t, registry: prometheus.NewRegistry(), source: resourcetest.NewSource(resource.NewSnapshot([]resource.Object{boot, policy}, nil)), logs: &logtest.Text{}}
	service, err := authsvc.New(t.Context(), authsvc.Config{
		Boot: boot, BaseDir: dir,
		OnBootstrap: func(b authsvc.Bootstrap) error { h.admin = b; return nil },
	}, authsvc.Deps{
		Log: slog.New(slog.NewJSONHandler(h.logs, nil)), Registerer: h.registry, Tracer: noop.NewTracerProvider(), Source: h.source,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.service = service
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	h.public, h.internal = serve(service.Handler()), serve(service.InternalHandler())
	t.Cleanup(func() {
		h.public.CloseClientConnections()
		h.public.Close()
		h.internal.CloseClientConnections()
		h.internal.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := service.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return h
}

func serve(handler http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(nil)
	s.Config = web.NewServer(handler, slog.New(slog.DiscardHandler))
	s.Start()
	return s
}

// resources are the objects of a service whose hashes are as cheap as a policy may ask for.
func resources() (*v1alpha1.AuthConfig, *v1alpha1.SessionPolicy) {
	boot := &v1alpha1.AuthConfig{ObjectMeta: metav1.ObjectMeta{Name: "auth"}, Spec: v1alpha1.AuthConfigSpec{
		Store:            v1alpha1.Store{SQLite: &v1alpha1.SQLiteStore{Path: "auth.db"}},
		KeyEncryption:    v1alpha1.SecretRef{File: "key"},
		Issuer:           "cloakroom-test",
		Audiences:        []v1alpha1.Audience{"cloakroom"},
		SessionPolicyRef: v1alpha1.LocalRef{Name: "default"},
		Hashing: v1alpha1.Hashing{
			Argon2id: v1alpha1.Argon2id{Memory: "7Mi", Iterations: 1, Parallelism: 1},
			Gate:     v1alpha1.HashGate{Memory: "80Mi", Queue: 64, MaxWait: "10s"},
		},
	}}
	policy := &v1alpha1.SessionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1alpha1.SessionPolicySpec{
		Algorithm: "EdDSA", AccessTTL: "15m", RefreshTTL: "720h", ReuseWindow: "10s",
		IdleTimeout: "720h", AbsoluteLifetime: "2160h", MaxSessions: 50, Eviction: v1alpha1.EndOldest,
		Password: v1alpha1.PasswordRules{MinLength: 8, MaxLength: 256},
		// Wide enough for tests that are not about it.
		Lockout: v1alpha1.Lockout{MaxFailures: 1000, MaxFailuresPerAddress: 100_000, Window: "15m", Duration: "15m"},
	}}
	return boot, policy
}

var contract = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("../../../openapi.yaml")
	if err != nil {
		return nil, err
	}
	doc.Servers = nil
	return gorillamux.NewRouter(doc)
})

// ask is one request.
type ask struct {
	method, path string
	token        string            // Authorization: Bearer
	body         any               // as JSON; a string is sent as it is
	header       map[string]string // more headers
	internal     bool              // on the internal listener
}

type reply struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   []byte
}

// do sends the request. What it gets is held against the contract, and so is the request when it was granted.
func (h *house) do(a ask) reply {
	h.t.Helper()
	var payload []byte
	switch b := a.body.(type) {
	case nil:
	case string:
		payload = []byte(b)
	default:
		payload, _ = json.Marshal(b)
	}
	request := func() *http.Request {
		base := h.public.URL
		if a.internal {
			base = h.internal.URL
		}
		r, err := http.NewRequestWithContext(h.t.Context(), a.method, base+a.path, bytes.NewReader(payload))
		if err != nil {
			h.t.Fatal(err)
		}
		if a.body != nil {
			r.Header.Set("Content-Type", "application/json")
		}
		if a.token != "" {
			r.Header.Set("Authorization", "Bearer "+a.token)
		}
		for name, value := range a.header {
			r.Header.Set(name, value)
		}
		return r
	}
	res, err := http.DefaultClient.Do(request())
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	got := reply{h.t, a.method + " " + a.path, res.StatusCode, res.Header, body}
	if !a.internal {
		h.hold(request(), got)
	}
	return got
}

// hold checks an exchange against openapi.yaml, and what is promised of every answer.
func (h *house) hold(r *http.Request, got reply) {
	h.t.Helper()
	id := got.header.Get("X-Request-Id")
	if id == "" {
		h.t.Errorf("%s: no request id", got.what)
	}
	var doc struct{ Instance string }
	if got.status >= 400 && (json.Unmarshal(got.body, &doc) != nil || doc.Instance != id) {
		h.t.Errorf("%s: %d %s is not a problem of request %s", got.what, got.status, got.body, id)
	}
	if keep := got.header.Get("Cache-Control"); keep != "no-store" && !strings.Contains(got.what, "jwks") && !strings.Contains(got.what, "openapi") {
		h.t.Errorf("%s: Cache-Control %q", got.what, keep)
	}
	router, err := contract()
	if err != nil {
		h.t.Fatal(err)
	}
	route, vars, err := router.FindRoute(r)
	if err != nil {
		return // not of the contract: 404 and 405 are tested on their own
	}
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true,
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: vars, Route: route, Options: options}
	if got.status < 400 {
		if err := openapi3filter.ValidateRequest(h.t.Context(), in); err != nil {
			h.t.Errorf("%s: granted, but the contract refuses it: %v", got.what, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: got.status, Header: got.header, Options: options,
	}
	out.SetBodyBytes(got.body)
	if err := openapi3filter.ValidateResponse(h.t.Context(), out); err != nil {
		h.t.Errorf("%s: answer %d %s breaks the contract: %v", got.what, got.status, got.body, err)
	}
}

// want checks status and code, "" for an answer that is no problem.
func (r reply) want(status int, code string) reply {
	r.t.Helper()
	var doc struct{ Code string }
	_ = json.Unmarshal(r.body, &doc)
	if r.status != status || doc.Code != code {
		r.t.Fatalf("%s: got %d %s, want %d %s", r.what, r.status, r.body, status, code)
	}
	return r
}

// into reads the body.
func (r reply) into(v any) {
	r.t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		r.t.Fatalf("%s: %s: %v", r.what, r.body, err)
	}
}

// session is a signed-in person on a device.
type session struct {
	User struct {
		ID       string
		Name     string
		Username string
		Email    *string
		Roles    []string
		Status   string
	}
	Session struct {
		AccessToken      string `json:"access_token"`
		ExpiresIn        int    `json:"expires_in"`
		RefreshToken     string `json:"refresh_token"`
		RefreshExpiresIn int    `json:"refresh_expires_in"`
		SessionID        string `json:"session_id"`
	}
}

func (s session) access() string { return s.Session.AccessToken }

const password = "correct horse battery staple"

type object = map[string]any

func (h *house) signup(username string) session {
	h.t.Helper()
	var s session
	h.do(ask{method: "POST", path: "/v1/auth/signup", body: object{"username": username, "password": password}}).
		want(201, "").into(&s)
	return s
}

func (h *house) login(identifier, secret string) session {
	h.t.Helper()
	var s session
	h.do(ask{method: "POST", path: "/v1/auth/login", body: object{"identifier": identifier, "password": secret}}).
		want(200, "").into(&s)
	return s
}

func (h *house) loginAdmin() session {
	h.t.Helper()
	return h.login(h.admin.Username, h.admin.Password.Reveal())
}

// check asks who an access token is.
func (h *house) check(token string) reply {
	h.t.Helper()
	return h.do(ask{method: "GET", path: "/v1/auth/session", token: token})
}

func (h *house) refresh(token string) reply {
	h.t.Helper()
	return h.do(ask{method: "POST", path: "/v1/auth/refresh", body: object{"refresh_token": token}})
}
