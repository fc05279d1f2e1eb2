package differential

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// server is one of those the script runs against.
type server struct {
	name  string
	home  string // where uploads are made
	token string
}

// servers starts ours, tusd, and @tus/server. Nil: there is no node or npm here.
func servers(t *testing.T) []*server {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal("this test needs node and npm")
			}
			return nil
		}
	}
	stack := harness.Start(t)
	ada := harness.NewClient(t, stack.Public).SignUp()
	tusd := harness.StartOther(t, harness.Build(t, "./tusd"), "-dir")
	node := harness.StartOther(t, "node", filepath.Join(installed(t), "serve.mjs"))
	return []*server{
		{name: "cloakroom", home: stack.Public + "/v1/uploads", token: ada.Session.AccessToken},
		{name: "tusd", home: tusd.Base + "/files/"},
		{name: "@tus/server", home: node.Base + "/files"},
	}
}

// installed is the folder of @tus/server, with the packages that its lock file names.
func installed(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(harness.Root(t), "tests", "differential", "servers")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@tus", "server")); err == nil {
		return dir
	}
	install := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("install @tus/server: %v\n%s", err, out)
	}
	return dir
}

// answer is what came back, as far as a client looks.
type answer struct {
	status int
	header http.Header
}

// conversation is the script's talk with one server.
type conversation struct {
	t *testing.T
	*server
}

// say sends a request in tus 1.0. Headers are pairs; an empty value takes one away.
func (c *conversation) say(method, at, body string, pairs ...string) answer {
	c.t.Helper()
	home, err := url.Parse(c.home)
	if err != nil {
		c.t.Fatal(err)
	}
	to, err := home.Parse(at)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequest(method, to.String(), strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if method == http.MethodPatch || body != "" {
		req.Header.Set("Content-Type", "application/offset+octet-stream")
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if req.Header.Del(pairs[i]); pairs[i+1] != "" {
			req.Header.Set(pairs[i], pairs[i+1])
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.t.Fatalf("%s: %s %s: %v", c.name, method, at, err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		c.t.Fatalf("%s: %s %s: %v", c.name, method, at, err)
	}
	return answer{res.StatusCode, res.Header}
}

// begin makes an upload and returns where it is.
func (c *conversation) begin(pairs ...string) string {
	c.t.Helper()
	a := c.say("POST", c.home, "", pairs...)
	if a.status != http.StatusCreated {
		c.t.Fatalf("%s: an upload with %v was answered %d", c.name, pairs, a.status)
	}
	return a.header.Get("Location")
}

// send is PATCH.
func (c *conversation) send(at, offset, body string, pairs ...string) answer {
	c.t.Helper()
	return c.say("PATCH", at, body, append([]string{"Upload-Offset", offset}, pairs...)...)
}

// look is HEAD.
func (c *conversation) look(at string) answer {
	c.t.Helper()
	return c.say("HEAD", at, "")
}
