package replicas

import (
	"bytes"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// load are people who work without a pause, each request at the next gateway.
type load struct {
	c      *cluster
	t      testing.TB
	people []*worker
	quit   chan struct{}
	group  sync.WaitGroup
	seen   tally
	asked  map[string]int // by what was asked and answered

	mu       sync.Mutex
	failures []string // a few, to look at
}

// worker is one of them, with what the services have told it.
type worker struct {
	client *harness.Client
	mu     sync.Mutex
	kept   []kept
}

// kept is a file whose upload was acknowledged.
type kept struct {
	id      string
	content []byte
}

// load starts so many people.
func (c *cluster) load(t testing.TB, people int) *load {
	t.Helper()
	l := &load{c: c, t: t, quit: make(chan struct{}), asked: map[string]int{}}
	for range people {
		l.people = append(l.people, &worker{client: c.front.anyone(t).SignUp()})
	}
	l.work()
	return l
}

func (l *load) work() {
	for _, w := range l.people {
		l.group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.quit:
					return
				case <-time.After(time.Duration(mrand.IntN(20)) * time.Millisecond):
				}
				l.step(w, i)
			}
		})
	}
}

// step asks for the next thing.
func (l *load) step(w *worker, i int) {
	me := l.c.front.via(w.client)
	switch i % 5 {
	case 0:
		l.note("session", me.Try("GET", "/v1/auth/session", nil))
	case 1:
		l.note("list", me.Try("GET", "/v1/files", nil))
	case 2:
		content := make([]byte, 1<<10+mrand.IntN(3<<10))
		_, _ = rand.Read(content)
		a := me.Try("POST", "/v1/files", bytes.NewReader(content), harness.Raw(fmt.Sprint("file ", i)))
		if l.note("upload", a) == "ok" {
			w.mu.Lock()
			w.kept = append(w.kept, kept{a.File().ID, content})
			w.mu.Unlock()
		}
	case 3:
		l.download(me, w)
	case 4:
		l.refresh(me, w)
	}
}

func (l *load) download(me *harness.Client, w *worker) {
	if len(w.kept) == 0 {
		return
	}
	k := w.kept[mrand.IntN(len(w.kept))]
	a := me.Try("GET", "/v1/files/"+k.id+"/content", nil)
	if l.note("download", a) == "ok" && !bytes.Equal(a.Body, k.content) {
		l.t.Errorf("file %s reads back with %d other bytes", k.id, len(a.Body))
	}
}

// refresh presents the newest token; after a lost answer that is a retry, within its window.
func (l *load) refresh(me *harness.Client, w *worker) {
	a := me.Try("POST", "/v1/auth/refresh", fields{"refresh_token": w.client.Session.RefreshToken}, harness.Header("Authorization", ""))
	if l.note("refresh", a) == "ok" {
		var body struct{ Session harness.Session }
		a.JSON(&body)
		w.client.Session = body.Session
	}
}

func (l *load) note(asked string, a *harness.Answer) string {
	kind := l.seen.note(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[asked+": "+kind]++
	if kind != "ok" && len(l.failures) < 12 {
		l.failures = append(l.failures, fmt.Sprintf("%s %s %v %s", time.Now().UTC().Format("15:04:05.000"), asked, a.Err, a.Body))
	}
	return kind
}

// reset forgets what was seen so far.
func (l *load) reset() {
	l.seen.Lock()
	l.seen.counts = nil
	l.seen.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked, l.failures = map[string]int{}, nil
}

// stop ends the work and reads back everything that was acknowledged.
func (l *load) stop(t testing.TB) *load {
	t.Helper()
	close(l.quit)
	l.group.Wait()
	l.quit = make(chan struct{})
	l.readBack(t)
	return l
}

// readBack holds the promise about acknowledged files and sessions.
func (l *load) readBack(t testing.TB) {
	t.Helper()
	files := 0
	for _, w := range l.people {
		for _, k := range w.kept {
			a := l.c.front.via(w.client).Do("GET", "/v1/files/"+k.id+"/content", nil).Is(200)
			if !bytes.Equal(a.Body, k.content) {
				t.Errorf("file %s was acknowledged and reads back otherwise", k.id)
			}
			files++
		}
		w.client.Refresh().Is(200)
	}
	t.Logf("%d acknowledged files read back, %d sessions go on", files, len(l.people))
}

// nothingFailed holds that every answer was a success.
func (l *load) nothingFailed(t testing.TB) {
	t.Helper()
	for kind, n := range l.seen.counts {
		if kind != "ok" {
			t.Errorf("%d requests: %s\n%s", n, kind, strings.Join(l.failures, "\n"))
		}
	}
	if l.seen.of("ok") == 0 {
		t.Error("nothing was asked at all")
	}
}
