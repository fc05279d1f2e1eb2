// Package e2e does the main job through the real gateway, as a person would: one process (the stack) and three (each
// service alone). What needs no more than a gateway's URL is run against one in a cluster as well, through what stands in front of it there.
package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestMainJob(t *testing.T) {
	mainJob(t, harness.Shared(t))
}

// mainJob is the story of issue 2: sign up, log in, upload, list, download, see the device, log out, be refused.
func mainJob(t *testing.T, anyone *harness.Client) {
	t.Helper()
	username := harness.NewUsername()
	anyone.Do("POST", "/v1/auth/signup", map[string]string{
		"username": username, "email": username + "@example.org", "password": harness.Password, "name": "Ada",
	}).Is(201)
	ada := anyone.LogIn(username, harness.Password)
	if ada.User.Name != "Ada" || ada.Session.TokenType != "Bearer" || ada.Session.AccessToken == "" {
		t.Fatalf("logged in as %+v with %+v", ada.User, ada.Session)
	}

	content := make([]byte, 3<<20)
	_, _ = rand.Read(content)
	sum := sha256.Sum256(content)
	const name = "Grüße – 文件 🎟.bin"
	uploaded := ada.Upload(name, content).Is(201)
	file := uploaded.File()
	if file.Name != name || file.Size != int64(len(content)) || file.SHA256 != hex.EncodeToString(sum[:]) {
		t.Fatalf("uploaded %+v", file)
	}
	if got := uploaded.Header.Get("Location"); got != "/v1/files/"+file.ID {
		t.Errorf("Location is %q", got)
	}
	form := ada.UploadForm("form.txt", []byte("by form")).Is(201).File()

	var list struct {
		Items []harness.File `json:"items"`
	}
	ada.Do("GET", "/v1/files", nil).Is(200).JSON(&list)
	if len(list.Items) != 2 {
		t.Errorf("the list has %+v", list.Items)
	}
	download := ada.Do("GET", "/v1/files/"+file.ID+"/content", nil).Is(200)
	if !bytes.Equal(download.Body, content) {
		t.Error("the file came back with other bytes")
	}
	if cd := download.Header.Get("Content-Disposition"); !strings.Contains(cd, "filename*=UTF-8''Gr%C3%BC%C3%9Fe") {
		t.Errorf("Content-Disposition is %q", cd)
	}
	part := ada.Do("GET", "/v1/files/"+file.ID+"/content", nil, harness.Header("Range", "bytes=100-199")).Is(206)
	if !bytes.Equal(part.Body, content[100:200]) {
		t.Error("a range came back with other bytes")
	}

	replaced := ada.Do("PUT", "/v1/files/"+form.ID+"/content", strings.NewReader("replaced"),
		harness.Header("Content-Type", "text/plain"), harness.Header("If-Match", form.ETag)).Is(200).File()
	if replaced.ID != form.ID || replaced.Size != 8 || replaced.ETag == form.ETag {
		t.Errorf("replaced %+v by %+v", form, replaced)
	}
	ada.Do("PUT", "/v1/files/"+form.ID+"/content", strings.NewReader("again"),
		harness.Header("Content-Type", "text/plain"), harness.Header("If-Match", form.ETag)).Refused(412, "PRECONDITION_FAILED")
	ada.Do("DELETE", "/v1/files/"+form.ID, nil).Is(204)
	ada.Do("GET", "/v1/files/"+form.ID, nil).Refused(404, "NOT_FOUND")

	stranger := anyone.SignUp()
	stranger.Do("GET", "/v1/files/"+file.ID, nil).Refused(404, "NOT_FOUND")
	stranger.Do("GET", "/v1/files/"+file.ID+"/content", nil).Refused(404, "NOT_FOUND")

	seeDevicesAndLeave(t, ada)
	if again := anyone.LogIn(username, harness.Password).Do("GET", "/v1/files/"+file.ID+"/content", nil).Is(200); !bytes.Equal(again.Body, content) {
		t.Error("the file is another one after a new login")
	}
}

func seeDevicesAndLeave(t *testing.T, ada *harness.Client) {
	t.Helper()
	var sessions struct {
		Items []struct {
			ID      string `json:"id"`
			Current bool   `json:"current"`
		} `json:"items"`
	}
	ada.Do("GET", "/v1/auth/sessions", nil).Is(200).JSON(&sessions)
	if len(sessions.Items) != 2 { // the signup's and the login's
		t.Fatalf("sessions are %+v", sessions.Items)
	}
	for _, s := range sessions.Items {
		if s.Current != (s.ID == ada.Session.SessionID) {
			t.Errorf("session %+v, ours is %s", s, ada.Session.SessionID)
		}
	}
	before := *ada
	ada.Refresh().Is(200)
	if ada.Session.RefreshToken == before.Session.RefreshToken || ada.Session.SessionID != before.Session.SessionID {
		t.Error("a refresh must bring a new token of the same session")
	}
	ada.Do("POST", "/v1/auth/logout", nil).Is(204)
	waitFor(t, patience, func() bool { return ada.Do("GET", "/v1/files", nil).Status == http.StatusUnauthorized })
	ada.Do("GET", "/v1/files", nil).Refused(401, "INVALID_TOKEN")
	ada.Do("GET", "/v1/auth/session", nil).Refused(401, "INVALID_TOKEN")
	ada.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
}

func TestStack_YesterdaysFolderStillHasEverything(t *testing.T) {
	s := harness.Start(t)
	ada := harness.NewClient(t, s.Public).SignUp()
	file := ada.Upload("kept.txt", []byte("kept")).Is(201).File()
	gone := harness.NewClient(t, s.Public).SignUp()
	gone.Do("POST", "/v1/auth/logout", nil).Is(204)
	secrets := s.Bootstrap()
	if err := s.Stop(); err != nil {
		t.Fatalf("stop: %v\n%s", err, s.Output())
	}
	first := s.Output()
	s.Run()
	ada.Base, gone.Base = s.Public, s.Public
	if got := ada.Do("GET", "/v1/files/"+file.ID+"/content", nil).Is(200); string(got.Body) != "kept" {
		t.Errorf("came back as %q", got.Body)
	}
	ada.Refresh().Is(200)
	gone.Do("GET", "/v1/auth/session", nil).Refused(401, "INVALID_TOKEN")
	if s.Bootstrap() != secrets {
		t.Error("the second start made new bootstrap credentials")
	}
	for _, secret := range []string{secrets.Admin.Password, secrets.APIKey, secrets.BootstrapToken} {
		if secret == "" || strings.Contains(first+s.Output(), secret) {
			t.Errorf("secret %q is empty or was printed", secret)
		}
	}
}

func TestStack_BootstrapLetsTheAdminIn(t *testing.T) {
	s := harness.Start(t)
	info, err := os.Stat(filepath.Join(s.Dir, "bootstrap.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("bootstrap.json: %v %v", info, err)
	}
	b := s.Bootstrap()
	anyone := harness.NewClient(t, s.Public)
	admin := anyone.LogIn(b.Admin.Username, b.Admin.Password)
	admin.Do("GET", "/v1/signing-keys", nil).Is(200)
	anyone.SignUp().Do("GET", "/v1/signing-keys", nil).Refused(403, "FORBIDDEN")
	anyone.Do("GET", "/v1/users/me", nil, harness.Header("X-Api-Key", b.APIKey)).Is(200)
	anyone.Do("GET", "/v1/users/me", nil, harness.Header("Authorization", "Bearer "+b.APIKey)).Is(200)
	if len(b.BootstrapToken) != 50 {
		t.Errorf("the bootstrap token has %d characters, want 50", len(b.BootstrapToken))
	}
}

func TestStack_TwoSideBySide(t *testing.T) {
	a, b := harness.Start(t), harness.Start(t)
	ada := harness.NewClient(t, a.Public).SignUp()
	ada.Do("GET", "/v1/auth/session", nil).Is(200)
	ada.Base = b.Public
	ada.Do("GET", "/v1/auth/session", nil).Refused(401, "INVALID_TOKEN")
}

func TestStack_SecondOnTheSameFolderIsRefused(t *testing.T) {
	s := harness.Start(t)
	code, out := s.RunCommand("serve")
	if code != 1 || !strings.Contains(out, "in use") {
		t.Errorf("exit code %d: %s", code, out)
	}
	harness.NewClient(t, s.Public).SignUp()
}

func TestStack_FootprintAndColdStart(t *testing.T) {
	s := harness.Start(t) // builds, and makes the databases
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Run()
	took := time.Since(began)
	idle := idleRSS(s)
	ada := harness.NewClient(t, s.Public).SignUp()
	ada.Upload("warm", make([]byte, 1<<20)).Is(201)
	before := s.RSS()
	const size = 1 << 30
	sum := sha256.New()
	upload := io.TeeReader(io.LimitReader(rand.Reader, size), sum)
	peak := watchRSS(s)
	a := ada.Do("POST", "/v1/files", upload, harness.Raw("large.bin"), func(r *http.Request) { r.ContentLength = size }).Is(201)
	grown := peak() - before
	if got := a.File(); got.Size != size || got.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
		t.Errorf("uploaded %+v", got)
	}
	t.Logf("cold start to ready %v; idle resident %s; grown by %s while 1 GiB came in", took, mib(idle), mib(grown))
	if idle > mostIdle {
		t.Errorf("idle resident memory is %s, want at most %s", mib(idle), mib(mostIdle))
	}
	if grown > 32<<20 {
		t.Errorf("a 1 GiB upload grew memory by %s, want less than 32 MiB", mib(grown))
	}
}

const mostIdle = 80 << 20

// idleRSS is the resident memory once what starting up took has been given back, which a busy machine takes its time for.
func idleRSS(s *harness.Stack) int64 {
	time.Sleep(time.Second)
	for range 50 {
		if s.RSS() <= mostIdle {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	return s.RSS()
}

// watchRSS samples the resident memory until the returned function is called, which returns the peak.
func watchRSS(s *harness.Stack) func() int64 {
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			most = max(most, s.RSS())
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); return <-peak }
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
