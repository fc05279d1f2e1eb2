package harness

import (
	"bytes"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// Crowd are people who work without a pause while something is done to what they work with. Nothing is tried twice: a request that
// fails counts.
type Crowd struct {
	t      testing.TB
	work   Work
	people []*worker
	quit   chan struct{}
	group  sync.WaitGroup

	mu       sync.Mutex
	asked    map[string]int // by what was asked and answered
	failures []string       // a few, to look at
}

// Work is what the people of a crowd do.
type Work struct {
	Turns   []string                // what each does in turn, of session, list, upload, download, refresh and login
	Pause   time.Duration           // before each request, at the most
	Largest int                     // bytes of a file, at the most; 1 KiB at the least
	Kind    func(*Answer) string    // an answer in a word, OK for a success
	Via     func(c *Client) *Client // where a request goes; nil is where the person has signed up
}

// OK is the Kind of a success.
const OK = "ok"

// worker is one of them, with what the services have told it. Nobody else touches it before the crowd stops.
type worker struct {
	client *Client
	kept   []kept
}

// kept is a file whose upload was acknowledged.
type kept struct {
	id      string
	content []byte
}

// NewCrowd sends people, who have signed up, to work.
func NewCrowd(t testing.TB, work Work, people ...*Client) *Crowd {
	t.Helper()
	if work.Via == nil {
		work.Via = func(c *Client) *Client { return c }
	}
	l := &Crowd{t: t, work: work, quit: make(chan struct{}), asked: map[string]int{}}
	for _, c := range people {
		w := &worker{client: c}
		l.people = append(l.people, w)
		l.group.Go(func() { l.begin(w) })
	}
	return l
}

func (l *Crowd) begin(w *worker) {
	for i := 0; ; i++ {
		select {
		case <-l.quit:
			return
		case <-time.After(time.Duration(mrand.Int64N(int64(l.work.Pause)))):
		}
		l.turn(w, i)
	}
}

// turn asks for the next thing.
func (l *Crowd) turn(w *worker, i int) {
	me := l.work.Via(w.client)
	switch what := l.work.Turns[i%len(l.work.Turns)]; what {
	case "session":
		l.note(what, me.Try("GET", "/v1/auth/session", nil))
	case "list":
		l.note(what, me.Try("GET", "/v1/files", nil))
	case "upload":
		content := make([]byte, 1<<10+mrand.IntN(l.work.Largest-1<<10))
		_, _ = rand.Read(content)
		a := me.Try("POST", "/v1/files", bytes.NewReader(content), Raw(fmt.Sprint("file ", i)))
		if l.note(what, a) == OK {
			w.kept = append(w.kept, kept{a.File().ID, content})
		}
	case "download":
		l.download(me, w)
	case "refresh":
		l.refresh(me, w)
	case "login":
		l.login(me)
	default:
		l.t.Errorf("nobody knows how to %s", what)
	}
}

func (l *Crowd) download(me *Client, w *worker) {
	if len(w.kept) == 0 {
		return
	}
	k := w.kept[mrand.IntN(len(w.kept))]
	a := me.Try("GET", "/v1/files/"+k.id+"/content", nil)
	if l.note("download", a) == OK && !bytes.Equal(a.Body, k.content) {
		l.t.Errorf("file %s reads back with %d other bytes", k.id, len(a.Body))
	}
}

// refresh presents the newest token. After a lost answer it is presented again, within the window that is there for that.
func (l *Crowd) refresh(me *Client, w *worker) {
	a := me.Try("POST", "/v1/auth/refresh", map[string]string{"refresh_token": w.client.Session.RefreshToken}, Header("Authorization", ""))
	if l.note("refresh", a) == OK {
		var body struct{ Session Session }
		a.JSON(&body)
		w.client.Session = body.Session
	}
}

// login opens a session and ends it.
func (l *Crowd) login(me *Client) {
	other := me.Fresh()
	a := other.Try("POST", "/v1/auth/login", map[string]string{"identifier": me.User.Username, "password": Password})
	if l.note("login", a) != OK {
		return
	}
	var body struct{ Session Session }
	a.JSON(&body)
	other.Session = body.Session
	l.note("logout", other.Try("POST", "/v1/auth/logout", nil))
}

func (l *Crowd) note(asked string, a *Answer) string {
	kind := l.work.Kind(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[asked+": "+kind]++
	if kind != OK && len(l.failures) < 12 {
		l.failures = append(l.failures, fmt.Sprintf("%s %s %v %s", time.Now().UTC().Format("15:04:05.000"), asked, a.Err, a.Body))
	}
	return kind
}

// Take is what was seen since it was taken last: how often what was asked and answered, as "upload: ok", and a few failures.
func (l *Crowd) Take() (asked map[string]int, failures string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked, failures = l.asked, strings.Join(l.failures, "\n")
	l.asked, l.failures = map[string]int{}, nil
	return asked, failures
}

// Stop ends the work and holds the promise about acknowledged files and sessions.
func (l *Crowd) Stop() {
	l.t.Helper()
	close(l.quit)
	l.group.Wait()
	files := 0
	for _, w := range l.people {
		for _, k := range w.kept {
			if a := l.work.Via(w.client).Try("GET", "/v1/files/"+k.id+"/content", nil); l.work.Kind(a) != OK || !bytes.Equal(a.Body, k.content) {
				l.t.Errorf("file %s was acknowledged and reads back otherwise: %s", k.id, l.work.Kind(a))
			}
			files++
		}
		w.client.Refresh().Is(200)
	}
	l.t.Logf("%d acknowledged files read back, %d sessions go on", files, len(l.people))
}
