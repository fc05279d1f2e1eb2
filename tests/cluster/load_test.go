package cluster

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// load are people who work without a pause, each over connections of their own. Nothing is tried twice: a request that fails counts. They
// speak HTTP/1.1, for a proxy may refuse a stream of HTTP/2 whose connection to a pod broke, and clients send those again by themselves.
type load struct {
	s      *site
	t      testing.TB
	people []*worker
	quit   chan struct{}
	group  sync.WaitGroup

	mu       sync.Mutex
	asked    map[string]int // by what was asked and answered
	failures []string       // a few, to look at
}

// worker is one of them, with what the services have told it.
type worker struct {
	client *harness.Client
	kept   []kept
}

// kept is a file whose upload was acknowledged.
type kept struct {
	id      string
	content []byte
}

// think is how long a person waits between two requests: it keeps a small machine below what it can do, so that what fails fails
// for another reason.
const think = 150 * time.Millisecond

// load starts so many people.
func (s *site) load(people int) *load {
	s.t.Helper()
	l := &load{s: s, t: s.t, quit: make(chan struct{}), asked: map[string]int{}}
	for range people {
		client := s.anyone()
		client.HTTP().Transport.(*http.Transport).Protocols = onlyHTTP1()
		l.people = append(l.people, &worker{client: client.SignUp()})
	}
	for _, w := range l.people {
		l.group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.quit:
					return
				case <-time.After(time.Duration(mrand.Int64N(int64(2 * think)))):
				}
				l.step(w, i)
			}
		})
	}
	return l
}

func onlyHTTP1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// step asks for the next thing. A log-in is a tenth of it: it costs what ten of the others do.
func (l *load) step(w *worker, i int) {
	switch i % 10 {
	case 0:
		l.login(w)
	case 1, 5:
		l.note("session", w.client.Try("GET", "/v1/auth/session", nil))
	case 2, 6:
		content := make([]byte, 1<<10+mrand.IntN(63<<10))
		_, _ = rand.Read(content)
		a := w.client.Try("POST", "/v1/files", bytes.NewReader(content), harness.Raw(fmt.Sprint("file ", i)))
		if l.note("upload", a) == ok {
			w.kept = append(w.kept, kept{a.File().ID, content})
		}
	case 3, 7:
		l.download(w)
	case 4, 8:
		l.refresh(w)
	default:
		l.note("list", w.client.Try("GET", "/v1/files", nil))
	}
}

// login opens a session and ends it.
func (l *load) login(w *worker) {
	a := w.client.Fresh().Try("POST", "/v1/auth/login", map[string]string{"identifier": w.client.User.Username, "password": harness.Password})
	if l.note("login", a) != ok {
		return
	}
	var body struct{ Session harness.Session }
	a.JSON(&body)
	other := w.client.Fresh()
	other.Session = body.Session
	l.note("logout", other.Try("POST", "/v1/auth/logout", nil))
}

func (l *load) download(w *worker) {
	if len(w.kept) == 0 {
		return
	}
	k := w.kept[mrand.IntN(len(w.kept))]
	a := w.client.Try("GET", "/v1/files/"+k.id+"/content", nil)
	if l.note("download", a) == ok && !bytes.Equal(a.Body, k.content) {
		l.t.Errorf("file %s reads back with %d other bytes", k.id, len(a.Body))
	}
}

// refresh presents the newest token. After a lost answer it is presented again, within the window that is there for that.
func (l *load) refresh(w *worker) {
	a := w.client.Try("POST", "/v1/auth/refresh", map[string]string{"refresh_token": w.client.Session.RefreshToken}, harness.Header("Authorization", ""))
	if l.note("refresh", a) == ok {
		var body struct{ Session harness.Session }
		a.JSON(&body)
		w.client.Session = body.Session
	}
}

const ok = "ok"

// kindOf is an answer in a word: ok, a status with its code, or that there was none.
func kindOf(a *harness.Answer) string {
	switch {
	case a.Err != nil:
		return "no answer"
	case a.Status < 300:
		return ok
	}
	var p harness.Problem
	if json.Unmarshal(a.Body, &p) != nil || p.Code == "" {
		return fmt.Sprintf("%d without a problem", a.Status)
	}
	return fmt.Sprintf("%d %s", a.Status, p.Code)
}

func (l *load) note(asked string, a *harness.Answer) string {
	kind := kindOf(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[asked+": "+kind]++
	if kind != ok && len(l.failures) < 12 {
		l.failures = append(l.failures, fmt.Sprintf("%s %s %v %s", time.Now().UTC().Format("15:04:05.000"), asked, a.Err, a.Body))
	}
	return kind
}

// take is what was seen since it was taken last.
func (l *load) take() (asked map[string]int, failures string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked, failures = l.asked, strings.Join(l.failures, "\n")
	l.asked, l.failures = map[string]int{}, nil
	return asked, failures
}

// stop ends the work and holds the promise about acknowledged files and sessions.
func (l *load) stop() {
	l.t.Helper()
	close(l.quit)
	l.group.Wait()
	files := 0
	for _, w := range l.people {
		for _, k := range w.kept {
			if a := w.client.Try("GET", "/v1/files/"+k.id+"/content", nil); kindOf(a) != ok || !bytes.Equal(a.Body, k.content) {
				l.t.Errorf("file %s was acknowledged and reads back otherwise: %s", k.id, kindOf(a))
			}
			files++
		}
		w.client.Refresh().Is(200)
	}
	l.t.Logf("%d acknowledged files read back, %d sessions go on", files, len(l.people))
}
