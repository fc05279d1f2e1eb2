package replicas

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

type fields map[string]string

// The limit on links, which all gateways keep together.
const linksPerMinute, linksAtOnce = 60, 30

// tally counts answers by status and code.
type tally struct {
	sync.Mutex
	counts map[string]int
}

func (y *tally) note(a *harness.Answer) string {
	kind := kindOf(a)
	y.Lock()
	defer y.Unlock()
	if y.counts == nil {
		y.counts = map[string]int{}
	}
	y.counts[kind]++
	return kind
}

func (y *tally) of(kind string) int {
	y.Lock()
	defer y.Unlock()
	return y.counts[kind]
}

// kindOf is an answer in a word: 2xx, a status with its code, or that there was none.
func kindOf(a *harness.Answer) string {
	switch {
	case a.Err != nil:
		return "no answer"
	case a.Status < 300:
		return harness.OK
	}
	var p harness.Problem
	a.JSON(&p)
	return fmt.Sprintf("%d %s", a.Status, p.Code)
}

// atOnce calls n times, so many at a time.
func atOnce(n, workers int, call func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				call(i)
			}
		})
	}
	group.Wait()
}

func TestCaps_TwentyLoginsLeaveFive(t *testing.T) {
	c := up(t)
	ada := c.front.anyone(t).SignUp()
	var mu sync.Mutex
	var opened []*harness.Client
	var seen tally
	atOnce(20, 20, func(int) {
		fresh := c.front.via(ada.Fresh())
		for {
			a := fresh.Try("POST", "/v1/auth/login", fields{"identifier": ada.User.Username, "password": harness.Password})
			// Told to come back: by the gate of a slow machine, or while as many others are under way as may fail.
			if kind := seen.note(a); kind == "503 OVERLOADED" || kind == "429 RATE_LIMIT_EXCEEDED" {
				time.Sleep(200 * time.Millisecond)
				continue
			}
			a.Is(200)
			var body struct{ Session harness.Session }
			a.JSON(&body)
			fresh.Session = body.Session
			mu.Lock()
			opened = append(opened, fresh)
			mu.Unlock()
			return
		}
	})
	opened = append(opened, ada)
	wait(t, time.Minute, "the gateways know who is out", func(ctx context.Context) error {
		for _, door := range c.front.doors {
			live := 0
			for _, s := range opened {
				if at(s, door.base).Try("GET", "/v1/files/usage", nil).Status == http.StatusOK {
					live++
				}
			}
			if live != cap5 {
				return fmt.Errorf("%d sessions are let in at %s, want %d", live, door.name, cap5)
			}
		}
		return nil
	})
	refreshed := 0
	for _, s := range opened {
		if s.Refresh().Status == http.StatusOK {
			refreshed++
		}
	}
	if refreshed != cap5 {
		t.Errorf("%d sessions refresh, want %d", refreshed, cap5)
	}
	t.Logf("20 logins: %v; %d sessions live", seen.counts, refreshed)
}

func TestCaps_AThousandGuessesAreLookedAtFiveTimes(t *testing.T) {
	c := up(t)
	ada := c.front.anyone(t).SignUp()
	guess := fields{"identifier": ada.User.Username, "password": "a guess"}
	var seen tally
	atOnce(1000, 60, func(int) {
		a := c.front.via(ada.Fresh()).Try("POST", "/v1/auth/login", guess, harness.Header("User-Agent", "guesser/1"))
		switch kind := seen.note(a); kind {
		case "401 INVALID_CREDENTIALS", "429 RATE_LIMIT_EXCEEDED", "503 OVERLOADED":
		default:
			t.Errorf("a guess was answered %s: %s", kind, a.Body)
		}
	})
	if n := seen.of("401 INVALID_CREDENTIALS"); n > cap5 || n == 0 {
		t.Errorf("%d guesses were looked at, want 1 to %d: %v", n, cap5, seen.counts)
	}
	t.Logf("1000 guesses: %v", seen.counts)
}

func TestCaps_TheLastMegabyteIsExact(t *testing.T) {
	const each, left = 4 << 10, 1 << 20
	c := up(t)
	ada := c.front.anyone(t).SignUp()
	ada.Do("POST", "/v1/files", io.LimitReader(zeros{}, quota-left), harness.Raw("most of it"), func(r *http.Request) { r.ContentLength = quota - left }).Is(201)
	content := bytes.Repeat([]byte("x"), each)
	var seen tally
	atOnce(1000, 40, func(i int) {
		me := c.front.via(ada)
		a := me.Try("POST", "/v1/files", bytes.NewReader(content), harness.Raw("part "+strconv.Itoa(i)))
		for ; a.Status == http.StatusServiceUnavailable; a = me.Try("POST", "/v1/files", bytes.NewReader(content), harness.Raw("part "+strconv.Itoa(i))) {
			seen.note(a)
			time.Sleep(300 * time.Millisecond)
		}
		seen.note(a)
	})
	if n := seen.of(harness.OK); n != left/each {
		t.Errorf("%d uploads fit into the last megabyte, want %d: %v", n, left/each, seen.counts)
	}
	var usage struct {
		Bytes int64 `json:"bytes"`
	}
	a := c.front.via(ada).Do("GET", "/v1/files/usage", nil).Is(200)
	a.JSON(&usage)
	if usage.Bytes != quota {
		t.Errorf("usage is %s, want %d", a.Body, quota)
	}
	t.Logf("1000 uploads: %v", seen.counts)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLimits_ThreeGatewaysAllowWhatOneWould(t *testing.T) {
	c := up(t)
	anyone := c.front.anyone(t)
	var seen tally
	began := time.Now()
	atOnce(300, 12, func(int) { seen.note(c.front.via(anyone).Try("GET", "/l/nothing-is-here", nil)) })
	most := linksAtOnce + int(time.Since(began).Seconds()*linksPerMinute/60) + 1
	passed := 300 - seen.of("429 RATE_LIMIT_EXCEEDED")
	if passed < linksAtOnce || passed > most {
		t.Errorf("%d of 300 were let through, want %d to %d: %v", passed, linksAtOnce, most, seen.counts)
	}
	t.Logf("300 requests of one address in %v: %v", time.Since(began), seen.counts)
}

// TestRevocation_IsKnownAtAllGateways holds the promise of 100 ms to what can be said for certain: the last request that was let in had
// been sent by then. That the answer of the first refused one came is what a client sees, and has this machine's slowness in it.
// What makes a logout late makes it late at all gateways, so it is logouts that are counted; of fewer than these the slowest
// hundredth would be a single one.
func TestRevocation_IsKnownAtAllGateways(t *testing.T) {
	const logouts, bound = 200, 100 * time.Millisecond
	c := up(t)
	l := c.load(t, 4)
	people := make([]*harness.Client, 6)
	for i := range people {
		people[i] = c.front.anyone(t).SignUp()
	}
	var mu sync.Mutex
	var letIn, refused []time.Duration
	late := 0 // logouts, while requests went on; where few did it was the machine that stood still
	for i := range logouts {
		p := people[i%len(people)]
		session := c.front.via(p).LogIn(p.User.Username, harness.Password)
		for _, d := range c.front.doors {
			at(session, d.base).Do("GET", "/v1/files/usage", nil).Is(200) // the token is in its cache
		}
		c.front.via(session).Do("POST", "/v1/auth/logout", nil).Is(204)
		answered := time.Now()
		wasLate := false
		atOnce(len(c.front.doors), len(c.front.doors), func(i int) {
			last, first, often := untilRefused(t, at(session, c.front.doors[i-1].base), answered)
			mu.Lock()
			defer mu.Unlock()
			wasLate = wasLate || last > bound && often > 10
			letIn, refused = append(letIn, last), append(refused, first)
		})
		if wasLate {
			late++
		}
	}
	seen := nothingFailed(t, l)
	slices.Sort(letIn)
	slices.Sort(refused)
	p50, p99 := len(letIn)/2, len(letIn)*99/100
	t.Logf("%d logouts at three gateways under load (%v): the last request let in was sent at p50 %v, p99 %v, most %v after the logout's answer; the first refusal came at p50 %v, p99 %v",
		logouts, seen, letIn[p50], letIn[p99], letIn[len(letIn)-1], refused[p50], refused[p99])
	if late > logouts/100 {
		t.Errorf("p99 is %v, promised is %v; %d of %d logouts were late though the machine was not", letIn[p99], bound, late, logouts)
	}
}

// untilRefused asks until it is refused. It returns when the last request that was let in was sent, 0 when none was, and when the
// refusal came, both since the logout, and how many were let in.
func untilRefused(t *testing.T, session *harness.Client, since time.Time) (letIn, refused time.Duration, often int) {
	for ; ; often++ {
		sent := time.Since(since)
		a := session.Try("GET", "/v1/files/usage", nil)
		switch {
		case a.Status == http.StatusUnauthorized:
			return letIn, time.Since(since), often
		case sent > 20*time.Second || a.Err != nil:
			t.Errorf("a logout is answered %s after %v", kindOf(a), sent)
			return sent, sent, often
		}
		letIn = sent
	}
}

func TestRevocation_WaitCountsAllReplicas(t *testing.T) {
	c := up(t)
	ada := c.front.anyone(t).SignUp()
	for range 6 {
		other := c.front.via(ada).LogIn(ada.User.Username, harness.Password)
		var answer struct{ Acked, Of int }
		c.front.via(ada).Do("DELETE", "/v1/auth/sessions/"+other.Session.SessionID+"?wait=1", nil).Is(200).JSON(&answer)
		if want := len(gateways) + len(filesSvc); answer.Of != want || answer.Acked != want {
			t.Errorf("answered %+v, want all %d gateways and files services", answer, want)
		}
		for _, d := range c.front.doors {
			at(other, d.base).Do("GET", "/v1/files", nil).Refused(401, "INVALID_TOKEN")
		}
	}
}
