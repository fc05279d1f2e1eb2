// Package browser runs clients of other makers, unmodified, against the real gateway.
package browser

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// clients installs the packages that the lock file names, once.
func clients(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("these tests need node and npm")
		}
		t.Skip("not run: these tests need node and npm") // make test says so in a line of its own
	}
	dir := filepath.Join(harness.Root(t), "tests", "browser", "clients")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "tus-js-client")); err == nil {
		return dir
	}
	install := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("install the clients: %v\n%s", err, out)
	}
	return dir
}

// person is somebody with a file to hand in, before a stack that keeps its address when it is killed.
type person struct {
	*harness.Client
	stack   *harness.Stack
	content []byte
	path    string
}

const fileName = "Фильм – 映画 🎟.bin"

func newPerson(t *testing.T, size int) *person {
	t.Helper()
	_, port, err := net.SplitHostPort(harness.FreeAddrs(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, "PORT="+port)
	p := &person{Client: harness.NewClient(t, s.Public).SignUp(), stack: s, content: make([]byte, size), path: filepath.Join(t.TempDir(), "film")}
	_, _ = rand.Read(p.content)
	if err := os.WriteFile(p.path, p.content, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs a client and calls heard with the words of each line it says. It returns where the upload is.
func (p *person) run(t *testing.T, script string, heard func(words []string), env ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Dir = clients(t)
	cmd.Env = append(os.Environ(), "ENDPOINT="+p.Base+"/v1/uploads", "TOKEN="+p.Session.AccessToken, "FILE="+p.path, "NAME="+fileName)
	cmd.Env = append(cmd.Env, env...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("these tests need node: %v", err)
	}
	var last []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		last = strings.Fields(lines.Text())
		if len(last) > 1 {
			heard(last)
		}
	}
	if err := cmd.Wait(); err != nil || len(last) != 2 || last[0] != "done" {
		t.Fatalf("%s ended with %v, %v\n%s", script, last, err, complaints.String())
	}
	return last[1]
}

// has checks that the upload has become the file.
func (p *person) has(t *testing.T, uploaded string) {
	t.Helper()
	u, err := url.Parse(uploaded)
	if err != nil {
		t.Fatal(err)
	}
	where := p.Do("HEAD", u.Path, nil, harness.Header("Tus-Resumable", "1.0.0")).Is(200).Header.Get("Location")
	f := p.Do("GET", where, nil).Is(200).File()
	sum := sha256.Sum256(p.content)
	if f.Name != fileName || f.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("became %+v", f)
	}
	if got := p.Do("GET", where+"/content", nil).Is(200); !bytes.Equal(got.Body, p.content) {
		t.Error("reads back with other bytes")
	}
	var list struct{ Items []harness.File }
	if p.Do("GET", "/v1/files", nil).Is(200).JSON(&list); len(list.Items) != 1 {
		t.Errorf("there are %d files", len(list.Items))
	}
}

// killOnce kills the stack and starts it again when so many bytes have been sent.
func (p *person) killOnce(t *testing.T, after int) (heard func([]string), killed func() bool) {
	done := false
	return func(words []string) {
		if sent, err := strconv.Atoi(words[1]); err == nil && words[0] == "sent" && sent > after && !done {
			done = true
			p.stack.Kill()
			p.stack.Run()
			t.Logf("killed when %d of %d bytes were sent", sent, len(p.content))
		}
	}, func() bool { return done }
}

func TestTusJSClient(t *testing.T) {
	t.Run("uploads, pauses and resumes", func(t *testing.T) {
		p := newPerson(t, 6<<20)
		paused := false
		p.has(t, p.run(t, "tus.mjs", func(words []string) { paused = paused || words[0] == "paused" }, "PAUSE_AT="+strconv.Itoa(2<<20)))
		if !paused {
			t.Error("it did not pause")
		}
	})
	t.Run("goes on when the server is killed", func(t *testing.T) {
		p := newPerson(t, 24<<20)
		heard, killed := p.killOnce(t, 4<<20)
		p.has(t, p.run(t, "tus.mjs", heard))
		if !killed() {
			t.Error("it was done before the kill")
		}
	})
	t.Run("uploads in parallel and joins", func(t *testing.T) {
		p := newPerson(t, 6<<20)
		p.has(t, p.run(t, "tus.mjs", func([]string) {}, "PARALLEL=3"))
	})
}

func TestUppy(t *testing.T) {
	t.Run("uploads", func(t *testing.T) {
		p := newPerson(t, 3<<20)
		p.has(t, p.run(t, "uppy.mjs", func([]string) {}))
	})
	t.Run("goes on when the server is killed", func(t *testing.T) {
		p := newPerson(t, 24<<20)
		heard, killed := p.killOnce(t, 4<<20)
		p.has(t, p.run(t, "uppy.mjs", heard))
		if !killed() {
			t.Error("it was done before the kill")
		}
	})
}
