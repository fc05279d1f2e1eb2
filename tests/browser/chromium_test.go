package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// chromium is a browser with one page open, spoken to by its DevTools protocol over two pipes.
type chromium struct {
	t       *testing.T
	to      io.Writer
	answers chan devtools
	session string
	lastID  int
}

// devtools is a message of the protocol, in either direction.
type devtools struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

func openChromium(t *testing.T) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs chromium")
		}
		t.Skip("not run: this test needs chromium") // make test says so in a line of its own
	}
	theirIn, ourOut, err := os.Pipe()
	ourIn, theirOut, errIn := os.Pipe()
	if err := errors.Join(err, errIn); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as the browser expects them
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirIn.Close(), theirOut.Close()
	c := &chromium{t: t, to: ourOut, answers: make(chan devtools, 64)}
	go c.listen(ourIn)
	t.Cleanup(func() {
		_ = c.send(devtools{ID: 1 << 20, Method: "Browser.close"})
		_ = ourOut.Close()
		timer := time.AfterFunc(10*time.Second, stop)
		_ = cmd.Wait() // it ends as it likes; the folder of its profile goes with the test
		timer.Stop()
		stop()
		_ = ourIn.Close()
	})
	return c
}

// listen hands on answers and drops events, until the browser has gone.
func (c *chromium) listen(from io.Reader) {
	defer close(c.answers)
	messages := bufio.NewReader(from)
	for {
		raw, err := messages.ReadBytes(0)
		if err != nil {
			return
		}
		var m devtools
		if json.Unmarshal(raw[:len(raw)-1], &m) == nil && m.ID != 0 {
			c.answers <- m
		}
	}
}

func (c *chromium) send(m devtools) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = c.to.Write(append(raw, 0))
	return err
}

// do calls a method of the protocol and reads its result.
func (c *chromium) do(method string, params map[string]any, into any) {
	c.t.Helper()
	c.lastID++
	if err := c.send(devtools{ID: c.lastID, SessionID: c.session, Method: method, Params: params}); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	timeout := time.After(time.Minute)
	for {
		select {
		case m, open := <-c.answers:
			switch {
			case !open:
				c.t.Fatalf("%s: the browser has gone", method)
			case m.ID != c.lastID:
				continue
			case m.Error != nil:
				c.t.Fatalf("%s: %s", method, m.Error)
			}
			if into != nil {
				if err := json.Unmarshal(m.Result, into); err != nil {
					c.t.Fatalf("%s: %s: %v", method, m.Result, err)
				}
			}
			return
		case <-timeout:
			c.t.Fatalf("%s: no answer", method)
		}
	}
}

// open goes to a page, and waits until it is there.
func (c *chromium) open(url string) {
	c.t.Helper()
	if c.session == "" {
		var target struct {
			TargetID string `json:"targetId"`
		}
		c.do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
		var attached struct {
			SessionID string `json:"sessionId"`
		}
		c.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
		c.session = attached.SessionID
	}
	c.do("Page.navigate", map[string]any{"url": url}, nil)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var at string
		if c.run(`document.readyState + " " + location.href`, &at); at == "complete "+url {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the page is %s, not %s", at, url)
		}
	}
}

// run evaluates a script in the page, waits for its promise, and reads its value.
func (c *chromium) run(script string, into any) {
	c.t.Helper()
	var out struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception json.RawMessage `json:"exceptionDetails"`
	}
	c.do("Runtime.evaluate", map[string]any{"expression": script, "awaitPromise": true, "returnByValue": true}, &out)
	if out.Exception != nil {
		c.t.Fatalf("%s: %s", script, out.Exception)
	}
	if err := json.Unmarshal(out.Result.Value, into); err != nil {
		c.t.Fatalf("%s: %s: %v", script, out.Result.Value, err)
	}
}

// called is what a page sees of an answer.
type called struct {
	Status int
	Body   string
	Failed string
}

// fetch is a call of the page's own script. init is fetch's second argument.
func (c *chromium) fetch(url, init string) (got called) {
	c.t.Helper()
	c.run(fmt.Sprintf(`fetch(%q, %s).then(async r => ({Status: r.status, Body: await r.text()}), e => ({Failed: String(e)}))`, url, init), &got)
	return got
}

const inCookies = `headers: {"X-Session-Mode": "cookie", "Content-Type": "application/json"}`

func TestChromium_KeepsASessionInCookies(t *testing.T) {
	stack := harness.Start(t)
	here := strings.Replace(stack.Public, "127.0.0.1", "localhost", 1)
	c := openChromium(t)
	c.open(here + "/livez")
	want := func(what string, got called, status int) called {
		t.Helper()
		if got.Status != status || strings.Contains(got.Body, "_token\"") {
			t.Fatalf("%s: %+v, want %d", what, got, status)
		}
		return got
	}
	name := harness.NewUsername()
	who := fmt.Sprintf(`{"username": %q, "password": %q}`, name, harness.Password)
	want("sign up", c.fetch("/v1/auth/signup", `{method: "POST", body: JSON.stringify(`+who+`), `+inCookies+`}`), 201)
	c.open(here + "/readyz")
	if me := want("after going to another page", c.fetch("/v1/users/me", "{}"), 200); !strings.Contains(me.Body, name) {
		t.Errorf("is %s", me.Body)
	}
	var seen string
	if c.run("document.cookie", &seen); seen != "" {
		t.Errorf("a script reads %q", seen)
	}
	for i, refresh := range []string{`{method: "POST", ` + inCookies + `}`, `{method: "POST", headers: {"X-Session-Mode": "cookie"}}`} {
		want(fmt.Sprint("refresh ", i), c.fetch("/v1/auth/refresh", refresh), 200)
	}
	want("upload", c.fetch("/v1/files", `{method: "POST", body: new Blob(["x"], {type: "text/plain"}), headers: {"Content-Disposition": "attachment; filename=a.txt"}}`), 201)

	// A page of the same site and another origin has the same cookies sent along: SameSite alone does not hold it off.
	neighbour := harness.Start(t)
	c.open(strings.Replace(neighbour.Public, "127.0.0.1", "localhost", 1) + "/livez")
	if got := c.fetch(here+"/v1/auth/logout-all", `{method: "POST", mode: "no-cors", credentials: "include"}`); got.Body != "" {
		t.Errorf("another page reads %+v", got)
	}
	c.open(here + "/livez")
	want("after a call of another page", c.fetch("/v1/users/me", "{}"), 200)

	want("log out", c.fetch("/v1/auth/logout", `{method: "POST"}`), 204)
	want("after logging out", c.fetch("/v1/users/me", "{}"), 401)
	var left struct{ Cookies []struct{ Name string } }
	if c.do("Network.getCookies", map[string]any{"urls": []string{here}}, &left); len(left.Cookies) != 0 {
		t.Errorf("cookies are left: %v", left.Cookies)
	}
}
