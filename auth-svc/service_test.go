package authsvc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/trace/noop"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/resourcetest"

	authsvc "cloakroom.dev/auth-svc"
)

// place is a data folder and the resources of a service that lives there.
type place struct {
	dir    string
	boot   *v1alpha1.AuthConfig
	policy *v1alpha1.SessionPolicy
	source *resourcetest.Source
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{dir: t.TempDir()}
	p.write(t, "key", strings.Repeat("5a", 32)+"\n")
	p.boot = &v1alpha1.AuthConfig{ObjectMeta: metav1.ObjectMeta{Name: "auth"}, Spec: v1alpha1.AuthConfigSpec{
		Store:            v1alpha1.Store{SQLite: &v1alpha1.SQLiteStore{Path: "auth.db"}},
		KeyEncryption:    v1alpha1.SecretRef{File: "key"},
		Bootstrap:        &v1alpha1.Bootstrap{File: "bootstrap.json"},
		Issuer:           "cloakroom-test",
		Audiences:        []v1alpha1.Audience{"cloakroom"},
		SessionPolicyRef: v1alpha1.LocalRef{Name: "default"},
		Hashing: v1alpha1.Hashing{
			Argon2id: v1alpha1.Argon2id{Memory: "7Mi", Iterations: 1, Parallelism: 1},
			Gate:     v1alpha1.HashGate{Memory: "80Mi", Queue: 64, MaxWait: "10s"},
		},
	}}
	p.policy = &v1alpha1.SessionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1alpha1.SessionPolicySpec{
		Algorithm: "EdDSA", AccessTTL: "15m", RefreshTTL: "720h", ReuseWindow: "10s", IdleTimeout: "720h",
		AbsoluteLifetime: "2160h", MaxSessions: 50, Password: v1alpha1.PasswordRules{MinLength: 8, MaxLength: 256},
	}}
	p.source = resourcetest.NewSource(p.snapshot())
	return p
}

func (p *place) snapshot() *resource.Snapshot {
	return resource.NewSnapshot([]resource.Object{p.boot.DeepCopy(), p.policy.DeepCopy()}, nil)
}

func (p *place) write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// open makes a service there, which may fail.
func (p *place) open(ctx context.Context, onBootstrap func(authsvc.Bootstrap) error) (*authsvc.Service, *prometheus.Registry, error) {
	reg := prometheus.NewRegistry()
	s, err := authsvc.New(ctx, authsvc.Config{Boot: p.boot.DeepCopy(), BaseDir: p.dir, OnBootstrap: onBootstrap}, authsvc.Deps{
		Log: slog.New(slog.DiscardHandler), Registerer: reg, Tracer: noop.NewTracerProvider(), Source: p.source,
	})
	return s, reg, err
}

// start opens a service and runs it until stop is called.
func (p *place) start(t testing.TB) (s *authsvc.Service, reg *prometheus.Registry, stop func()) {
	t.Helper()
	s, reg, err := p.open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return s, reg, stop
}

type object = map[string]any

// call is one exchange with the public handler.
func call(t testing.TB, s *authsvc.Service, method, path, token string, body any) (status int, answer object) {
	t.Helper()
	var payload bytes.Buffer
	r := httptest.NewRequestWithContext(t.Context(), method, path, &payload)
	if body != nil {
		raw, _ := json.Marshal(body)
		r = httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(raw))
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	return w.Code, answer
}

func login(t testing.TB, s *authsvc.Service, identifier, password string) (status int, session object) {
	t.Helper()
	status, answer := call(t, s, "POST", "/v1/auth/login", "", object{"identifier": identifier, "password": password})
	session, _ = answer["session"].(object)
	return status, session
}

func signup(t testing.TB, s *authsvc.Service, username string) object {
	t.Helper()
	status, answer := call(t, s, "POST", "/v1/auth/signup", "", object{"username": username, "password": "correct horse"})
	if status != 201 {
		t.Fatalf("signup: %d %v", status, answer)
	}
	return answer["session"].(object)
}

var named atomic.Int64

func freshName() string { return "user" + strconv.FormatInt(named.Add(1), 10) }

type bootstrapFile struct {
	Admin struct{ Username, Password string }
	Key   string `json:"api_key"`
	Token string `json:"bootstrap_token"`
}

func (p *place) bootstrapFile(t testing.TB) (b bootstrapFile) {
	t.Helper()
	path := filepath.Join(p.dir, "bootstrap.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, ".bootstrap-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return b
}

func TestBootstrap_OnceAndForAll(t *testing.T) {
	p := newPlace(t)
	s, _, stop := p.start(t)
	first := p.bootstrapFile(t)
	if len(first.Token) != 50 || !strings.HasPrefix(first.Key, "crk_") {
		t.Errorf("the file has %+v", first)
	}
	if status, _ := login(t, s, first.Admin.Username, first.Admin.Password); status != 200 {
		t.Errorf("the administrator gets %d", status)
	}
	stop()
	s, _, _ = p.start(t)
	if again := p.bootstrapFile(t); again != first {
		t.Error("the second start wrote the file again")
	}
	if status, _ := login(t, s, first.Admin.Username, first.Admin.Password); status != 200 {
		t.Errorf("after a restart the administrator gets %d", status)
	}
}

// A kill between the file and the commit leaves a file that opens nothing. The next start must write one that does.
func TestBootstrap_AFileWithoutACommitIsReplaced(t *testing.T) {
	p := newPlace(t)
	path := filepath.Join(p.dir, "bootstrap.json")
	killed := errors.New("killed")
	if _, _, err := p.open(t.Context(), func(b authsvc.Bootstrap) error {
		return errors.Join(authsvc.WriteBootstrap(path, b), killed)
	}); !errors.Is(err, killed) {
		t.Fatalf("New = %v", err)
	}
	stale := p.bootstrapFile(t)
	s, _, _ := p.start(t)
	fresh := p.bootstrapFile(t)
	if status, _ := login(t, s, stale.Admin.Username, stale.Admin.Password); status != 401 {
		t.Errorf("what was never committed opens the door: %d", status)
	}
	if status, _ := login(t, s, fresh.Admin.Username, fresh.Admin.Password); status != 200 {
		t.Errorf("the administrator gets %d", status)
	}
}

func TestBootstrap_AFileThatCanNotBeWrittenStopsTheStart(t *testing.T) {
	p := newPlace(t)
	p.boot.Spec.Bootstrap.File = "no/such/folder/bootstrap.json"
	if _, _, err := p.open(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "bootstrap.json") {
		t.Fatalf("New = %v", err)
	}
	p.boot.Spec.Bootstrap.File = "bootstrap.json"
	p.start(t)
	p.bootstrapFile(t)
}

func TestRestart_ForgetsNothing(t *testing.T) {
	p := newPlace(t)
	s, _, stop := p.start(t)
	live, dead := signup(t, s, "ada"), signup(t, s, "bob")
	if status, _ := call(t, s, "POST", "/v1/auth/logout", dead["access_token"].(string), nil); status != 204 {
		t.Fatalf("logout: %d", status)
	}
	stop()
	s, _, _ = p.start(t)
	if status, _ := call(t, s, "GET", "/v1/auth/session", live["access_token"].(string), nil); status != 200 {
		t.Errorf("a live token after a restart: %d", status)
	}
	if status, a := call(t, s, "GET", "/v1/auth/session", dead["access_token"].(string), nil); status != 401 {
		t.Errorf("a revoked token after a restart: %d %v", status, a)
	}
	if status, _ := call(t, s, "POST", "/v1/auth/refresh", "", object{"refresh_token": live["refresh_token"]}); status != 200 {
		t.Errorf("a refresh after a restart: %d", status)
	}
	if status, _ := call(t, s, "POST", "/v1/auth/refresh", "", object{"refresh_token": dead["refresh_token"]}); status != 401 {
		t.Errorf("a dead refresh token after a restart: %d", status)
	}
}

func TestNew_SaysWhatIsWrongWithItsSecrets(t *testing.T) {
	p := newPlace(t)
	_, _, stop := p.start(t)
	stop()
	for name, c := range map[string]struct{ content, want string }{
		"another secret": {strings.Repeat("77", 32), "is keyEncryption the secret of this store"},
		"a pass phrase":  {"correct horse battery staple, and some more words", "32 random bytes"},
		"a short one":    {"5a5a5a5a", "32 random bytes"},
		"nothing":        {"\n", "empty"},
		"one twice":      {strings.Repeat(strings.Repeat("77", 32)+"\n", 2), "twice"},
	} {
		p.write(t, "key", c.content)
		if s, _, err := p.open(t.Context(), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", name, s, err, c.want)
		} else if strings.Contains(err.Error(), strings.TrimSpace(c.content)) && name != "nothing" {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
	}
	_ = os.Remove(filepath.Join(p.dir, "key"))
	if _, _, err := p.open(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "openssl rand") {
		t.Errorf("no file: %v", err)
	}
	p.write(t, "key", strings.Repeat("77", 32)+"\n"+strings.Repeat("5a", 32)+"\n") // rotated: the old one opens what it sealed
	p.start(t)
}

func TestPolicy_ChangesWhileTheServiceRuns(t *testing.T) {
	p := newPlace(t)
	s, _, _ := p.start(t)
	eventually(t, "the boot object is reported", func() bool {
		st, ok := p.source.Reported(v1alpha1.KindAuthConfig, "auth")
		return ok && st.Conditions[len(st.Conditions)-1].Status == metav1.ConditionTrue
	})
	p.policy.Spec.AccessTTL = "77s"
	eventually(t, "the new policy is in force", func() bool {
		p.source.Set(p.snapshot())
		_, session := login(t, s, "admin", p.bootstrapFile(t).Admin.Password)
		return session["expires_in"] == 77.0
	})
	// The policy goes away: its last version serves on, and the status says so. A change of the boot object waits.
	p.boot.Spec.Issuer = "somebody-else"
	p.source.Set(resource.NewSnapshot([]resource.Object{p.boot.DeepCopy()}, nil))
	eventually(t, "the change of the boot object is reported", func() bool {
		st, _ := p.source.Reported(v1alpha1.KindAuthConfig, "auth")
		return st.Conditions[len(st.Conditions)-1].Reason == v1alpha1.ReasonRestartRequired
	})
	if _, session := login(t, s, "admin", p.bootstrapFile(t).Admin.Password); session["expires_in"] != 77.0 {
		t.Errorf("without a policy a token lives %v s", session["expires_in"])
	}
}

func TestNew_NeedsItsPolicy(t *testing.T) {
	p := newPlace(t)
	p.source.Set(resource.NewSnapshot([]resource.Object{p.boot.DeepCopy()}, nil))
	if _, _, err := p.open(t.Context(), nil); err == nil || !strings.Contains(err.Error(), `SessionPolicy "default"`) {
		t.Errorf("New = %v", err)
	}
	if found := authsvc.Check(resource.NewSnapshot([]resource.Object{p.boot}, nil)); len(found) != 1 {
		t.Errorf("check finds %v", found)
	}
	if found := authsvc.Check(p.snapshot()); len(found) != 0 {
		t.Errorf("check finds %v", found)
	}
}

func TestMetrics_SayWhatHappened(t *testing.T) {
	p := newPlace(t)
	s, reg, _ := p.start(t)
	ada := signup(t, s, "ada")
	login(t, s, "ada", "correct horse")
	login(t, s, "ada", "wrong")
	call(t, s, "POST", "/v1/auth/refresh", "", object{"refresh_token": ada["refresh_token"]})
	call(t, s, "POST", "/v1/auth/refresh", "", object{"refresh_token": "crr_forged"})
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP cloakroom_auth_logins_total Logins: ok, challenged (a second factor is still to be shown), denied, error.
# TYPE cloakroom_auth_logins_total counter
cloakroom_auth_logins_total{result="challenged"} 0
cloakroom_auth_logins_total{result="denied"} 1
cloakroom_auth_logins_total{result="error"} 0
cloakroom_auth_logins_total{result="ok"} 1
# HELP cloakroom_auth_refreshes_total Refreshes: rotated, repeated (the same successor again), reused (theft), evicted (over the cap), refused, forged, contended, error.
# TYPE cloakroom_auth_refreshes_total counter
cloakroom_auth_refreshes_total{result="contended"} 0
cloakroom_auth_refreshes_total{result="error"} 0
cloakroom_auth_refreshes_total{result="evicted"} 0
cloakroom_auth_refreshes_total{result="forged"} 1
cloakroom_auth_refreshes_total{result="refused"} 0
cloakroom_auth_refreshes_total{result="repeated"} 0
cloakroom_auth_refreshes_total{result="reused"} 0
cloakroom_auth_refreshes_total{result="rotated"} 1
`), "cloakroom_auth_logins_total", "cloakroom_auth_refreshes_total"); err != nil {
		t.Error(err)
	}
	lint, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Error(err)
	}
	for _, problem := range lint {
		if strings.HasPrefix(problem.Metric, "cloakroom_auth_") {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
	for _, name := range []string{
		"cloakroom_auth_hash_running_bytes", "cloakroom_auth_hash_queued", "cloakroom_auth_hash_wait_seconds", "cloakroom_auth_hash_seconds",
		"cloakroom_auth_signing_key_age_seconds", "cloakroom_auth_revocation_ack_seconds", "cloakroom_revocation_head_seq",
		"cloakroom_http_request_duration_seconds",
	} {
		if n, err := testutil.GatherAndCount(reg, name); err != nil || n == 0 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func TestReady_FollowsTheStore(t *testing.T) {
	p := newPlace(t)
	s, _, stop := p.start(t)
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
	stop()
	if err := s.Ready(t.Context()); err == nil {
		t.Error("a closed service is ready")
	}
	if status, a := call(t, s, "POST", "/v1/auth/refresh", "", object{"refresh_token": "crr_x"}); status != http.StatusUnauthorized {
		t.Errorf("a forged token needs no store: %d %v", status, a)
	}
}

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
