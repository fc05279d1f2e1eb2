package observe

import (
	"bytes"
	"image"
	"image/png"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

type fields = map[string]any

// small is the quota of each person here.
const small = 4 << 20

// challenge is a PKCE challenge of nothing in particular.
const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

// stranger is a word that must not come back as a label.
const stranger = "zz-stranger-zz"

// startWatched starts a stack that has everything which makes series of its own: a webhook, a provider, traces; and bounds so
// narrow that they are met.
func startWatched(t *testing.T) (s *harness.Stack, config string) {
	t.Helper()
	nobody := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(nobody.Close)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("whsec_"+strings.Repeat("YWFh", 8)), 0o600); err != nil {
		t.Fatal(err)
	}
	provider := harness.NewProvider(t)
	traced := "  telemetry: {otlpEndpoint: \"" + nobody.URL + "\"}\n"
	config = harness.ConfigDir(t,
		harness.Replace(t, "\nkind: FilesConfig\nmetadata:\n  name: files\nspec:\n", "\nkind: FilesConfig\nmetadata:\n  name: files\nspec:\n"+traced+
			"  webhooks:\n  - {name: a, url: \""+nobody.URL+"\", secretRef: {file: "+secret+"}, allowPrivateAddresses: true, events: [file.created]}\n"),
		harness.Replace(t, "\nkind: GatewayConfig\nmetadata:\n  name: gateway\nspec:\n", "\nkind: GatewayConfig\nmetadata:\n  name: gateway\nspec:\n"+traced),
		harness.Replace(t, "\nkind: AuthConfig\nmetadata:\n  name: auth\nspec:\n", "\nkind: AuthConfig\nmetadata:\n  name: auth\nspec:\n"+traced),
		harness.Replace(t, "  sessionPolicyRef:\n", "  identityProviders:\n"+provider.Block("one", "")+"  sessionPolicyRef:\n"),
		harness.Replace(t, "gate: {memory: 80Mi, queue: 64, maxWait: 2s}", "gate: {memory: 20Mi, queue: 1, maxWait: 500ms}"),
		harness.Replace(t, "    limit: 3000\n    window: 1m\n    burst: 1000\n", "    limit: 600\n    window: 1m\n    burst: 40\n"),
		harness.Replace(t, "  quota: 10Gi\n  maxObjectBytes: 5Gi\n", "  quota: 4Mi\n  maxObjectBytes: 4Mi\n"),
	)
	return harness.Start(t, "CONFIG_DIR="+config, "GOMEMLIMIT=2GiB"), config
}

// aDay is what people do with Cloakroom, and what strangers try. It returns somebody who stays.
func aDay(t *testing.T, s *harness.Stack) *harness.Client {
	t.Helper()
	c := harness.NewClient(t, s.Public)
	ada, bob, carol := c.SignUp(), c.SignUp(), c.SignUp()
	c.LogIn(ada.User.Username, harness.Password)
	ada.Refresh().Is(200)
	files(t, s, ada)
	ada.Do("POST", "/v1/auth/password/forgot", fields{"identifier": ada.User.Username}, harness.Header("Authorization", "")).Is(202)
	c.Do("GET", "/v1/auth/providers/one/start?code_challenge="+challenge, nil).Is(302)
	c.Do("GET", "/v1/files", nil, harness.Header("X-API-Key", s.Bootstrap().APIKey)).Is(200)
	c.Do("POST", "/v1/auth/login/passkey/options", fields{}).Is(200)
	bob.Upload("bob.txt", []byte("bob")).Is(201)
	bob.Do("DELETE", "/v1/users/me", fields{"current_password": harness.Password}).Is(204)
	strangers(t, s)
	flood(s)
	ada.Do("POST", "/v1/auth/logout", nil).Is(204)
	for deadline := time.Now().Add(time.Minute); ada.Try("GET", "/v1/files", nil).Status != 401; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a session that was ended still lists files")
		}
	}
	return carol
}

// files brings a person's files in and out, over the quota, and one of them to harm.
func files(t *testing.T, s *harness.Stack, ada *harness.Client) {
	t.Helper()
	f := ada.Upload("a.txt", []byte("a"), harness.Header("Idempotency-Key", "once")).Is(201).File()
	ada.Do("GET", "/v1/files", nil).Is(200)
	ada.Do("GET", "/v1/files/"+f.ID+"/content", nil).Is(200)
	ada.Do("GET", "/v1/files/"+f.ID+"/content", nil, harness.Header("Range", "bytes=0-0")).Is(206)
	ada.Upload("too much", make([]byte, small)).Is(413)
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	p := ada.Upload("p.png", picture.Bytes(), harness.Header("Content-Type", "image/png")).Is(201).File()
	ada.Do("GET", "/v1/files/"+p.ID+"/thumbnail", nil).Is(200)
	ada.Do("DELETE", "/v1/files/"+p.ID+"?permanent=1", nil).Is(204)
	const size = 1<<20 + 12345
	harmed := ada.Upload("harmed", bytes.Repeat([]byte("x"), size)).Is(201).File()
	harm(t, s.Dir, size)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if ada.Try("GET", "/v1/files/"+harmed.ID+"/content", nil).Status == 500 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a file with other bytes is still being sent")
		}
	}
}

// harm changes a byte of the stored file of this size.
func harm(t *testing.T, dir string, size int64) {
	t.Helper()
	harmed := 0
	err := filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() != size {
			return err
		}
		harmed++
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte("y"), 4711)
		return err
	})
	if err != nil || harmed != 1 {
		t.Fatalf("harmed %d files: %v", harmed, err)
	}
}

// strangers ask for what there is not, in words of their own.
func strangers(t *testing.T, s *harness.Stack) {
	t.Helper()
	host := strings.TrimPrefix(s.Public, "http://")
	for _, head := range []string{
		"GET /" + stranger + " HTTP/1.1\r\nHost: " + host,
		"BREW" + strings.ToUpper(stranger) + " /v1/files HTTP/1.1\r\nHost: " + host,
		"GET /v1/files HTTP/1.1\r\nHost: " + stranger + ".example",
		"GET /v1/files?access_token=" + stranger + " HTTP/1.1\r\nHost: " + host,
		"GET /v1/files HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + unknownKey,
		"GET /v1/files HTTP/1.1\r\nHost: " + host + "\r\nX-API-Key: crk_" + stranger,
	} {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = conn.Write([]byte(head + "\r\nConnection: close\r\n\r\n"))
		if err == nil {
			_, err = io.ReadAll(conn)
		}
		_ = conn.Close()
		if err != nil {
			t.Fatalf("%.20q: %v", head, err)
		}
	}
}

// unknownKey is a token whose header names a key that nobody has.
const unknownKey = "eyJhbGciOiJFZERTQSIsImtpZCI6Inp6LXN0cmFuZ2VyLXp6IiwidHlwIjoiYXQrand0In0.e30.AAAA"

// flood logs in, wrongly and all at once: into the line before the hashes, the lockout and the limit.
func flood(s *harness.Stack) {
	var all sync.WaitGroup
	for i := range 80 {
		all.Go(func() {
			name := harness.NewUsername()
			if i%2 == 0 {
				name = stranger
			}
			body := `{"identifier": "` + name + `", "password": "wrong"}`
			res, err := http.Post(s.Public+"/v1/auth/login", "application/json", strings.NewReader(body))
			if err == nil {
				_ = res.Body.Close()
			}
		})
	}
	all.Wait()
}
