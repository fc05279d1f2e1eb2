package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// person is what the clients of one person share: the tokens that any of them has been given.
type person struct {
	id, name string
	calm     bool // no block and no change of password ends sessions before a window can close

	mu       sync.Mutex
	password string // the last one that was asked for; it may not have come to be
	versions int
	sessions []*known
}

// known is a session as its clients know it.
type known struct {
	id, access string
	tokens     []string // every refresh token that came, the newest last
}

const keptSessions = 4 // further logins push the oldest out of the clients' minds

// client is one program of a person.
type client struct {
	*history
	person *person
	rng    *rand.Rand
	noCuts bool
	failed int // calls in a row that had no answer of their own
}

func (c *client) work(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(c.pause()):
		}
		s, newest, spent := c.pick()
		switch k := c.rng.IntN(200); {
		case s == nil && k%4 == 0:
			c.block(opUnblock, "active")
		case s == nil || k < 10:
			c.login(true)
		case k < 100:
			c.refresh(s, newest)
		case k < 140:
			c.refresh(s, spent)
		case k < 170:
			c.simple(opCheck, s, "GET", "/v1/auth/session", nil)
		case k < 180:
			c.simple(opLogout, s, "POST", "/v1/auth/logout", nil)
		case k < 187 && !c.person.calm:
			c.changePassword(s)
		case k < 189 && !c.person.calm:
			c.block(opBlock, "blocked")
		case k < 192:
			c.block(opUnblock, "active")
		default:
			c.slide(stop)
		}
	}
}

// pause is short, and longer and longer for whoever meets nobody: what may or may not have happened is what makes a history hard to
// explain.
func (c *client) pause() time.Duration {
	most := 25
	if c.failed > 0 {
		most = 500 << min(c.failed, 4)
	}
	return time.Duration(c.rng.IntN(most)) * time.Millisecond
}

// finish goes once through what chance may have left out, with nobody else about: block, and a change of password under
// whichever password came to be.
func (c *client) finish(t *testing.T) {
	t.Helper()
	c.noCuts = true
	c.block(opBlock, "blocked")
	c.block(opUnblock, "active")
	var s *known
	for v := c.person.versions; s == nil && v >= 0; v-- {
		s = c.loginWith(passwordOf(v), true)
	}
	if s == nil {
		t.Fatal("no password that was ever asked for opens the account")
	}
	other := c.loginWith(c.person.password, true)
	c.changePassword(s)
	c.refresh(other, other.tokens[0])
	c.simple(opLogout, s, "POST", "/v1/auth/logout", nil)
	c.simple(opCheck, s, "GET", "/v1/auth/session", nil)
}

// slide retries one token again and again past the end of the window, in a session of its own.
func (c *client) slide(stop <-chan struct{}) {
	s := c.login(false)
	if s == nil {
		return
	}
	first := s.tokens[0]
	for range 4 {
		c.refresh(s, first)
		select {
		case <-stop:
			return
		case <-time.After(historyWindow * 45 / 100):
		}
	}
	if len(s.tokens) > 1 {
		c.refresh(s, s.tokens[1]) // whether the theft has killed it
	}
}

// pick takes a session, its newest refresh token, and one that was spent, mostly the last.
func (c *client) pick() (s *known, newest, spent string) {
	c.person.mu.Lock()
	defer c.person.mu.Unlock()
	if len(c.person.sessions) == 0 {
		return nil, "", ""
	}
	s = c.person.sessions[c.rng.IntN(len(c.person.sessions))]
	n := len(s.tokens)
	back := min(n, 2)
	if c.rng.IntN(40) == 0 {
		back = min(n, 2+c.rng.IntN(3))
	}
	return s, s.tokens[n-1], s.tokens[n-back]
}

// answered is the body of whatever came back.
type answered struct {
	Code    string          `json:"code"`
	Session harness.Session `json:"session"`
}

func (c *client) login(shared bool) *known {
	c.person.mu.Lock()
	password := c.person.password
	if c.rng.IntN(4) == 0 { // the one that was, or a change whose answer was lost
		password = passwordOf(max(0, c.person.versions-c.rng.IntN(3)))
	}
	c.person.mu.Unlock()
	return c.loginWith(password, shared)
}

func (c *client) loginWith(password string, shared bool) *known {
	in := call{action: string(opLogin), password: password}
	body, out := c.do(in, "", "POST", "/v1/auth/login", map[string]string{"identifier": c.person.name, "password": password})
	if !out.ok {
		return nil
	}
	s := &known{id: body.Session.SessionID, access: body.Session.AccessToken, tokens: []string{body.Session.RefreshToken}}
	c.person.mu.Lock()
	defer c.person.mu.Unlock()
	c.person.password = password
	if shared {
		c.person.sessions = append(c.person.sessions, s)
		if len(c.person.sessions) > keptSessions {
			c.person.sessions = c.person.sessions[1:]
		}
	}
	return s
}

func (c *client) refresh(s *known, token string) {
	in := call{action: string(opRefresh), session: s.id, token: token}
	body, out := c.do(in, "", "POST", "/v1/auth/refresh", map[string]string{"refresh_token": token})
	c.person.mu.Lock()
	defer c.person.mu.Unlock()
	switch {
	case out.ok && !slices.Contains(s.tokens, out.token):
		s.tokens = append(s.tokens, out.token)
		s.access = body.Session.AccessToken
	case !out.ok && !out.lost && c.rng.IntN(6) == 0: // mostly it is tried again: dead must stay dead
		c.person.sessions = slices.DeleteFunc(c.person.sessions, func(k *known) bool { return k == s })
	}
}

func (c *client) simple(a action, s *known, method, path string, body any) {
	c.person.mu.Lock()
	access := s.access
	c.person.mu.Unlock()
	c.do(call{action: string(a), session: s.id}, access, method, path, body)
}

func (c *client) changePassword(s *known) {
	c.person.mu.Lock()
	access, old := s.access, c.person.password
	c.person.versions++
	next := passwordOf(c.person.versions)
	c.person.mu.Unlock()
	in := call{action: string(opPassword), session: s.id, password: old, password2: next}
	_, out := c.do(in, access, "POST", "/v1/auth/password/change", map[string]string{"current_password": old, "new_password": next})
	c.person.mu.Lock()
	defer c.person.mu.Unlock()
	if out.ok {
		c.person.password = next
	}
}

func passwordOf(version int) string {
	if version == 0 {
		return harness.Password
	}
	return fmt.Sprintf("%s, version %d", harness.Password, version)
}

func (c *client) block(a action, status string) {
	c.do(call{action: string(a)}, c.admin.Session.AccessToken, "PATCH", "/v1/users/"+c.person.id, map[string]string{"status": status})
}

// do asks, cuts the connection before the answer one time in eight, and notes what is known of it.
func (c *client) do(in call, access, method, path string, body any) (got answered, out result) {
	in.person = c.person.id
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sent := false
	cut := time.Duration(-1)
	if !c.noCuts && c.rng.IntN(8) == 0 {
		cut = time.Duration(c.rng.IntN(4000)) * time.Microsecond
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent = true }, WroteRequest: func(httptrace.WroteRequestInfo) {
		if cut >= 0 {
			time.AfterFunc(cut, cancel)
		}
	}})
	in.began = c.now()
	to := c.admin.Fresh()
	to.Base = c.bases[c.rng.IntN(len(c.bases))]
	a := to.Try(method, path, body, harness.Header("Authorization", bearer(access)), func(r *http.Request) { *r = *r.WithContext(ctx) })
	in.ended = c.now()
	if a.Err != nil {
		if refusedToConnect(a.Err) && !sent {
			return got, result{lost: true} // nobody was there: it never happened, and is not part of the history
		}
		out = result{lost: true}
		c.note(in, out)
		return got, out
	}
	_ = json.Unmarshal(a.Body, &got)
	switch {
	case a.Status == http.StatusConflict || a.Status == http.StatusTooManyRequests:
		return got, result{code: got.Code} // come back: promised to have done nothing
	case a.Status >= 500:
		c.failed++
		out = result{lost: true}
	default:
		c.failed = 0
		out = result{ok: a.Status < 300, session: got.Session.SessionID, token: got.Session.RefreshToken, code: got.Code}
	}
	c.note(in, out)
	return got, out
}

func refusedToConnect(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func bearer(access string) string {
	if access == "" {
		return ""
	}
	return "Bearer " + access
}
