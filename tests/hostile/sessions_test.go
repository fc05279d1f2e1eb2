package hostile

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// TestLogin_ManyAtOnceLeaveAsManyAsTheCap: the sessions that had to go are dead for their access tokens too.
func TestLogin_ManyAtOnceLeaveAsManyAsTheCap(t *testing.T) {
	const most, logins = 5, 20
	stack := harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t, harness.Replace(t, "  maxSessions: 50\n", "  maxSessions: 5\n")))
	c := harness.NewClient(t, stack.Public)
	ada := c.SignUp()
	sessions := make([]*harness.Client, logins)
	var group sync.WaitGroup
	for i := range sessions {
		group.Go(func() {
			a := patientLogin(c, ada.User.Username)
			if a.Err != nil || a.Status != http.StatusOK {
				t.Errorf("login answered %d %v %s", a.Status, a.Err, a.Body)
				return
			}
			var body struct{ Session harness.Session }
			a.JSON(&body)
			sessions[i] = c.Fresh()
			sessions[i].Session = body.Session
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	statuses := func(s *harness.Client) (byAuth, byFiles int) {
		return s.Do("GET", "/v1/auth/session", nil).Status, s.Do("GET", "/v1/files", nil).Status
	}
	for began := time.Now(); time.Since(began) < soon; { // a revocation takes its time to each service
		live := 0
		for _, s := range append(sessions, ada) {
			if byAuth, byFiles := statuses(s); byAuth == http.StatusOK || byFiles == http.StatusOK {
				live++
			}
		}
		if live == most {
			break
		}
	}
	var live *harness.Client
	alive := 0
	for _, s := range append(sessions, ada) {
		byAuth, byFiles := statuses(s)
		if byAuth != byFiles {
			t.Errorf("the auth service answers %d, the files service %d", byAuth, byFiles)
		}
		if byAuth == http.StatusOK {
			live, alive = s, alive+1
			continue
		}
		s.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
	}
	if alive != most {
		t.Fatalf("%d sessions live, want %d", alive, most)
	}
	var page struct{ Items []any }
	live.Do("GET", "/v1/auth/sessions", nil).Is(200).JSON(&page)
	if len(page.Items) != most {
		t.Errorf("%d sessions are listed, want %d", len(page.Items), most)
	}
}

// patientLogin comes back while it is told to: on a busy machine the line is longer than the wait in it.
func patientLogin(c *harness.Client, name string) (a *harness.Answer) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		a = c.Try("POST", "/v1/auth/login", fields{"identifier": name, "password": harness.Password})
		if a.Err != nil || a.Status != http.StatusTooManyRequests && a.Status != http.StatusServiceUnavailable {
			return a
		}
	}
	return a
}

// TestLogin_AThousandGuessesAreLookedAtFiveTimes: 401 is a guess that was looked at, 429 one that was not.
func TestLogin_AThousandGuessesAreLookedAtFiveTimes(t *testing.T) {
	const most, guesses, workers = 5, 1000, 100
	stack := harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t,
		harness.Replace(t, "    maxFailures: 10\n", "    maxFailures: 5\n"),
		harness.Replace(t, "    limit: 3000\n", "    limit: 1000000\n"),
	))
	c := harness.NewClient(t, stack.Public)
	ada := c.SignUp()
	var looked, next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for next.Add(1) <= guesses {
				a := c.Try("POST", "/v1/auth/login", fields{"identifier": ada.User.Username, "password": "a guess"}, harness.Header("User-Agent", "guesser/1"))
				switch {
				case a.Err != nil:
					t.Errorf("%v", a.Err)
				case a.Status == http.StatusUnauthorized:
					looked.Add(1)
				case a.Status == http.StatusServiceUnavailable: // the gate of a machine that has no time; not looked at either
					a.Refused(http.StatusServiceUnavailable, "OVERLOADED")
				default:
					a.Refused(http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
				}
			}
		})
	}
	group.Wait()
	guess := fields{"identifier": ada.User.Username, "password": "a guess"}
	for tries := 0; looked.Load() < most && tries < 60; tries++ { // where hashes are slow, most guesses were told to come back
		switch c.Do("POST", "/v1/auth/login", guess, harness.Header("User-Agent", "guesser/1")).Status {
		case http.StatusUnauthorized:
			looked.Add(1)
		case http.StatusServiceUnavailable:
			time.Sleep(time.Second)
		}
	}
	if n := looked.Load(); n != most {
		t.Errorf("%d guesses were looked at, want %d", n, most)
	}
	right := fields{"identifier": ada.User.Username, "password": harness.Password}
	c.Do("POST", "/v1/auth/login", right, harness.Header("User-Agent", "guesser/1")).Refused(429, "RATE_LIMIT_EXCEEDED")
	c.Do("POST", "/v1/auth/login", right).Is(200) // the owner's own device still enters
	ada.Refresh().Is(200)
}

func TestLogin_PasswordsThatDifferAfterTheSeventySecondByte(t *testing.T) {
	c := gateway(t)
	same := strings.Repeat("long passphrase ", 5)[:72]
	name := harness.NewUsername()
	c.Do("POST", "/v1/auth/signup", fields{"username": name, "password": same + "A"}).Is(201)
	for _, wrong := range []string{same, same + "B", same + "AA"} {
		c.Do("POST", "/v1/auth/login", fields{"identifier": name, "password": wrong}).Refused(401, "INVALID_CREDENTIALS")
	}
	c.LogIn(name, same+"A")
}

// TestLogin_DotsAndTagsAreOtherPeopleOfOneCount: guesses at the one mailbox lock its other spellings too.
func TestLogin_DotsAndTagsAreOtherPeopleOfOneCount(t *testing.T) {
	c := harness.NewClient(t, harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t, harness.Replace(t, "    maxFailures: 10\n", "    maxFailures: 3\n"))).Public)
	var ids []string
	for _, mail := range []string{"ada.lovelace@gmail.com", "adalovelace@gmail.com", "ada.lovelace+x@gmail.com"} {
		var body struct{ User harness.User }
		c.Do("POST", "/v1/auth/signup", fields{"email": mail, "password": harness.Password}).Is(201).JSON(&body)
		ids = append(ids, body.User.ID)
	}
	if ids[0] == ids[1] || ids[1] == ids[2] {
		t.Errorf("spellings became one person: %v", ids)
	}
	stranger := harness.Header("User-Agent", "guesser/1")
	for _, mail := range []string{"a.dalovelace@gmail.com", "adalovelace+1@googlemail.com", "ada.lovelace@gmail.com"} {
		c.Do("POST", "/v1/auth/login", fields{"identifier": mail, "password": "a guess"}, stranger).Refused(401, "INVALID_CREDENTIALS")
	}
	c.Do("POST", "/v1/auth/login", fields{"identifier": "adalovelace@gmail.com", "password": harness.Password}, stranger).Refused(429, "RATE_LIMIT_EXCEEDED")
}

func TestAPIKey_InTheURLOrForMoreThanItsMakerHas(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	var made struct {
		APIKey struct {
			ID string `json:"id"`
		} `json:"api_key"`
		Key string `json:"key"`
	}
	ada.Do("POST", "/v1/api-keys", fields{"name": "k", "permissions": []fields{right("users", "read", "all")}}).Refused(403, "FORBIDDEN")
	ada.Do("POST", "/v1/api-keys", fields{"name": "k", "permissions": []fields{right("files", "read", "self")}}).Is(201).JSON(&made)
	key := made.Key
	if key == "" {
		t.Fatal("no key came")
	}
	c.Do("GET", "/v1/files", nil, harness.Header("X-API-Key", key)).Is(200)
	c.Do("GET", "/v1/files?api_key="+key, nil).Refused(400, "VALIDATION_ERROR")
	c.Do("POST", "/v1/api-keys", fields{"name": "child", "permissions": []fields{right("files", "read", "self")}}, harness.Header("X-API-Key", key)).Is(403)
	for _, forged := range []string{key[:len(key)-1], key + "A", key[:4] + strings.Repeat("A", len(key)-4), "crk_"} {
		c.Do("GET", "/v1/files", nil, harness.Header("X-API-Key", forged)).Is(401)
	}
}

// TestReset_TwoAtOnceAndAnOlderLink: of two posts of one link one wins; a newer link ends the one before; a scanner that
// only looks uses nothing up.
func TestReset_TwoAtOnceAndAnOlderLink(t *testing.T) {
	stack := harness.Start(t)
	c := harness.NewClient(t, stack.Public)
	const mail = "reset-test@example.org"
	c.Do("POST", "/v1/auth/signup", fields{"email": mail, "password": harness.Password}).Is(201)
	forgot := func(mails int) string {
		c.Do("POST", "/v1/auth/password/forgot", fields{"identifier": mail}).Is(202)
		tokens := mailed(t, stack, mails) // in the order they came; the first verifies the address
		return tokens[mails-1]
	}
	older := forgot(2)
	newer := forgot(3)
	reset := func(token, password string) *harness.Answer {
		return c.Try("POST", "/v1/auth/password/reset", fields{"token": token, "new_password": password})
	}
	if a := reset(older, "a password of the older link 1"); a.Status < 400 || a.Status >= 500 {
		t.Errorf("the older link answered %d %s", a.Status, a.Body)
	}
	for range 10 {
		for _, method := range []string{"GET", "HEAD"} {
			look(t, c, method, "/auth/links/reset-password?token="+newer)
		}
	}
	answers := make([]*harness.Answer, 2)
	passwords := []string{"a password of one tab 17", "a password of another tab 18"}
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i] = reset(newer, passwords[i]) })
	}
	group.Wait()
	won := 0
	for i, a := range answers {
		if a.Err == nil && a.Status < 300 {
			won++
			c.LogIn(mail, passwords[i])
		} else if a.Err != nil || a.Status >= 500 {
			t.Errorf("answered %d %v", a.Status, a.Err)
		}
	}
	if won != 1 {
		t.Errorf("%d of two won", won)
	}
	c.Do("POST", "/v1/auth/login", fields{"identifier": mail, "password": harness.Password}).Refused(401, "INVALID_CREDENTIALS")
}

// look asks for a page, which the contract's checker can't read.
func look(t *testing.T, c *harness.Client, method, path string) {
	t.Helper()
	req, err := c.Request(method, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.HTTP().Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s of the page: %v %v", method, res, err)
	}
	_ = res.Body.Close()
}

// TestHTTP2_IsNotSpoken: rapid resets and floods of CONTINUATION frames need HTTP/2, which nobody is offered here.
func TestHTTP2_IsNotSpoken(t *testing.T) {
	c := gateway(t)
	for name, request := range map[string]string{
		"by prior knowledge": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"by upgrade":         "GET /livez HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
	} {
		answers := exchange(t, c, request)
		for _, a := range answers {
			if a.StatusCode == http.StatusSwitchingProtocols || a.ProtoMajor != 1 {
				t.Errorf("%s: answered %d in %s", name, a.StatusCode, a.Proto)
			}
		}
		if len(answers) > 1 {
			t.Errorf("%s: %d answers", name, len(answers))
		}
	}
	c.Do("GET", "/livez", nil).Is(200)
}

// TestConnections_OneAddressHasItsShare: half-sent heads of one address take no more than its share of the connections.
func TestConnections_OneAddressHasItsShare(t *testing.T) {
	const share, tried = 20, 60
	stack := harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t,
		harness.Replace(t, "    maxConnections: 20000\n", "    maxConnections: 20000\n    maxConnectionsPerAddress: 20\n")))
	addr := strings.Replace(strings.TrimPrefix(stack.Public, "http://"), "localhost", "127.0.0.1", 1)
	half := "GET /livez HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 60<<10)
	var open []net.Conn
	for range tried {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			continue
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, half)
		open = append(open, conn)
	}
	for began := time.Now(); len(open) > share && time.Since(began) < soon; { // a busy machine closes them when it comes to it
		open = slices.DeleteFunc(open, func(conn net.Conn) bool {
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			_, err := conn.Read(make([]byte, 1))
			return !errors.Is(err, os.ErrDeadlineExceeded)
		})
	}
	if len(open) > share || len(open) < share-5 { // the test's own requests for /readyz may hold some
		t.Errorf("%d of %d connections stayed open, want at most %d", len(open), tried, share)
	}
	res, err := http.Get(stack.Ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	metrics, _ := io.ReadAll(res.Body)
	if !regexp.MustCompile(`cloakroom_gateway_connections_refused_total\S* [1-9]`).Match(metrics) {
		t.Error("nothing was counted")
	}
}
