package replicas

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// watch keeps trying, at every gateway, the tokens of people who are logged out.
type watch struct {
	c    *cluster
	t    *testing.T
	stop func() // ends it, after one more look at everybody

	mu  sync.Mutex
	out []gone
}

// gone is somebody who is logged out, and from when on nobody may let them in.
type gone struct {
	client *harness.Client
	from   time.Time
}

func (c *cluster) watch(t *testing.T) *watch {
	t.Helper()
	w := &watch{c: c, t: t}
	ctx, quit := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			w.look()
			time.Sleep(100 * time.Millisecond)
		}
	})
	w.stop = func() {
		quit()
		done.Wait()
		w.mu.Lock()
		for i := range w.out {
			w.out[i].from = time.Time{} // everything is whole again: now is late enough
		}
		w.mu.Unlock()
		w.look()
	}
	return w
}

func (w *watch) look() {
	w.mu.Lock()
	out := append([]gone(nil), w.out...)
	w.mu.Unlock()
	for _, d := range w.c.front.doors {
		for _, g := range out {
			if !d.open.Load() || time.Now().Before(g.from) {
				continue
			}
			asked := time.Now()
			if a := at(g.client, d.base).Try("GET", "/v1/files/usage", nil); a.Err == nil && a.Status < 300 {
				w.t.Errorf("somebody who is logged out was let in at %s, asked %v after they had to be out", d.name, asked.Sub(g.from))
			}
		}
	}
}

// add begins to watch somebody.
func (w *watch) add(who *harness.Client, from time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = append(w.out, gone{who, from})
}

// logOut logs somebody out while all is well, and watches them once every gateway and files service has said that it knows. That a
// gateway refuses would not show it: the service behind it may have been the one that knew.
func (w *watch) logOut(who *harness.Client) {
	w.t.Helper()
	w.c.front.via(who).Do("POST", "/v1/auth/logout", nil).Is(http.StatusNoContent)
	w.c.allFollow(w.t)
	w.add(who, time.Now())
}

// allFollow returns when all that follow the log have acknowledged all that is in it by now. One that was killed counts for a while
// longer, as it should: nobody there knows that it lets nobody in any more. It is not waited for here.
func (c *cluster) allFollow(t *testing.T) {
	t.Helper()
	keeper := c.front.anyone(t).SignUp()
	wait(t, recovery, "everybody follows the log", func(context.Context) error {
		other := c.front.via(keeper).LogIn(keeper.User.Username, harness.Password)
		var answer struct{ Acked, Of int }
		c.front.via(keeper).Do("DELETE", "/v1/auth/sessions/"+other.Session.SessionID+"?wait=1", nil).Is(http.StatusOK).JSON(&answer)
		if want := len(gateways) + len(filesSvc); answer.Acked != want {
			return fmt.Errorf("%d of %d have acknowledged, want %d", answer.Acked, answer.Of, want)
		}
		return nil
	})
}

// logOutMeanwhile tries to log somebody out until the fault ends. From maxStaleness after the answer on no gateway may let them in:
// by then it has heard of it, or it lets nobody in.
func (w *watch) logOutMeanwhile(who *harness.Client, end time.Time) {
	for ; time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithDeadline(context.Background(), end)
		a := w.c.front.via(who).Try("POST", "/v1/auth/logout", nil, func(r *http.Request) { *r = *r.WithContext(ctx) })
		cancel()
		if a.Err == nil && a.Status == http.StatusNoContent {
			w.add(who, time.Now().Add(staleness+moment))
			return
		}
	}
}
