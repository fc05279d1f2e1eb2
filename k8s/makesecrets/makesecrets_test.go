package makesecrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"cloakroom.dev/libs/run"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// server is an API server as far as Secrets are created: it fails the test when it is asked for anything else.
type server struct {
	t     *testing.T
	kept  map[string]corev1.Secret
	deny  bool
	calls int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls++
	if r.Method != http.MethodPost || r.URL.Path != "/api/v1/namespaces/rooms/secrets" {
		s.t.Errorf("asked for %s %s; only the right to create is granted", r.Method, r.URL.Path)
	}
	var secret corev1.Secret
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &secret); err != nil {
		s.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, there := s.kept[secret.Name]
	switch {
	case s.deny:
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"no"}`)
	case there:
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"AlreadyExists","code":409,"message":"there"}`)
	default:
		s.kept[secret.Name] = secret
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	}
}

func start(t *testing.T) (*server, func(args ...string) (string, error)) {
	t.Helper()
	s := &server{t: t, kept: map[string]corev1.Secret{}}
	at := httptest.NewServer(s)
	t.Cleanup(at.Close)
	command := Command(func() (*rest.Config, error) {
		return &rest.Config{Host: at.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, nil
	})
	return s, func(args ...string) (string, error) {
		var out bytes.Buffer
		err := command.Run(t.Context(), args, run.IO{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out})
		return out.String(), err
	}
}

func TestSecretsAreMadeOnce(t *testing.T) {
	s, command := start(t)
	args := []string{"--namespace", "rooms", "keys=key-encryption,mac", "trial=password"}
	out, err := command(args...)
	if err != nil || out != "Secret keys: made\nSecret trial: made\n" {
		t.Fatalf("%q, %v", out, err)
	}
	first := s.kept["keys"]
	hex := regexp.MustCompile(`^[0-9a-f]{64}$`)
	a, b := first.Data["key-encryption"], first.Data["mac"]
	if !hex.Match(a) || !hex.Match(b) || bytes.Equal(a, b) || len(first.Data) != 2 {
		t.Errorf("the keys are no two random ones of 32 bytes: %d of them", len(first.Data))
	}
	if strings.Contains(out, string(a)) {
		t.Error("a key was printed")
	}
	out, err = command(args...)
	if err != nil || out != "Secret keys: is there already\nSecret trial: is there already\n" {
		t.Fatalf("%q, %v", out, err)
	}
	if !bytes.Equal(s.kept["keys"].Data["mac"], b) {
		t.Error("a second run changed a key")
	}
}

func TestWithoutTheRightItSaysWhich(t *testing.T) {
	s, command := start(t)
	s.deny = true
	if _, err := command("--namespace", "rooms", "keys=mac"); err == nil || !strings.Contains(err.Error(), "no right to create the Secret keys") {
		t.Fatal(err)
	}
}

func TestWhatIsMisspeltIsNeverSent(t *testing.T) {
	s, command := start(t)
	for _, args := range [][]string{
		{"--namespace", "rooms"},
		{"keys=mac"},
		{"--namespace", "rooms", "keys"},
		{"--namespace", "rooms", "keys="},
		{"--namespace", "rooms", "keys=mac,mac"},
		{"--namespace", "rooms", "../keys=mac"},
		{"--namespace", "rooms/secrets", "keys=mac"},
		{"--namespace", "rooms", "keys=" + strings.Repeat("k,", maxKeys) + "k"},
	} {
		if _, err := command(args...); !errors.Is(err, run.ErrUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if s.calls != 0 {
		t.Errorf("%d requests were sent", s.calls)
	}
}
