package token_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/libs/logtest"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

func TestFollower_LosesNothingWithItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		iss.Revoke(token.KindSession, "a")
		f := follow(t, iss, token.FollowerOptions{})
		for i := range 5 {
			iss.Cut()
			iss.Revoke(token.KindSession, fmt.Sprint("s-", i))
			time.Sleep(time.Second)
			if err := f.view.Check(of(fmt.Sprint("s-", i))); err == nil {
				t.Errorf("s-%d was lost with the stream", i)
			}
		}
		if err := f.view.Check(of("a")); err == nil {
			t.Error("the first entry was lost")
		}
		if diff := cmp.Diff([]string{"0", "0", "0", "0", "0", "0"}, f.asked()); diff != "" {
			t.Errorf("asked after (-want +got):\n%s", diff)
		}
	})
}

func TestFollower_OutlivesAServerThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		f := follow(t, iss, token.FollowerOptions{})
		iss.Down()
		time.Sleep(time.Minute)
		tries := len(f.asked())
		if tries < 100 || tries > 200 {
			t.Errorf("%d tries in a minute: pauses should grow to half a second", tries)
		}
		if f.view.Fresh() == nil || f.Ready(t.Context()) != nil {
			t.Error("fresh without news, or no longer ready")
		}
		if got := metric(t, f.reg, "cloakroom_revocation_stream_up"); got != 0 {
			t.Error("a stream is said to be up")
		}
		iss.Recover()
		time.Sleep(500 * time.Millisecond)
		if err := f.view.Fresh(); err != nil {
			t.Error(err)
		}
	})
}

// TestFollower_GoesOnBehindItsNewestEntry: a stream that breaks does not bring the whole log again, also when the view has gone
// stale meanwhile.
func TestFollower_GoesOnBehindItsNewestEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		for i := range 50 {
			iss.Revoke(token.KindSession, fmt.Sprint("before-", i))
		}
		f := follow(t, iss, token.FollowerOptions{})
		for round, away := range []time.Duration{0, time.Minute} {
			iss.Down()
			iss.Revoke(token.KindSession, fmt.Sprint("meanwhile-", round))
			time.Sleep(away)
			iss.Recover()
			time.Sleep(500 * time.Millisecond)
			if f.view.Check(of(fmt.Sprint("meanwhile-", round))) == nil || f.view.Check(of("before-0")) == nil || f.view.Fresh() != nil {
				t.Errorf("after %v: %v", away, f.view.Fresh())
			}
			if got := metric(t, f.reg, "cloakroom_revocation_entries_received_total"); got != float64(51+round) {
				t.Errorf("after %v: %v entries came in all, want %d", away, got, 51+round)
			}
		}
	})
}

// TestFollower_IsThereWhenAStandingServerWalksOn: while both replicas hang, as they do without their store, a question is open at one
// of them nearly all the time.
func TestFollower_IsThereWhenAStandingServerWalksOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for late := range 20 {
			both := newTwins()
			view := token.NewView(token.ViewOptions{})
			f := token.NewFollower(twinURLs[0], name, tokentest.InProcess(both), view, token.FollowerOptions{Replicas: twinURLs[1:], Log: slog.New(slog.DiscardHandler)})
			run(t, f.Run)
			synctest.Wait()
			both[0].Stall()
			both[1].Stall()
			time.Sleep(10*time.Second + time.Duration(late)*97*time.Millisecond)
			if view.Fresh() == nil {
				t.Fatal("fresh while nobody answers")
			}
			both[0].Recover()
			both[1].Recover()
			time.Sleep(100 * time.Millisecond)
			if err := view.Fresh(); err != nil {
				t.Errorf("100 ms after they were back: %v", err)
			}
		}
	})
}

// TestFollower_OutlivesAServerThatHangs, as one does that gets SIGSTOP: nothing breaks, nothing comes.
// A server that ends its streams itself is being stopped, as it should be: only when it stays away it is worth a warning.
func TestFollower_AGoodbyeIsNoWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var warnings logtest.Text
		var gone atomic.Bool
		leave := make(chan struct{})
		f := follow(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if gone.Load() {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			if r.Method == http.MethodPost {
				return
			}
			_, _ = io.WriteString(w, `{"heartbeat":{"seq":0,"elapsed_ms":0}}`+"\n")
			<-leave
		}), token.FollowerOptions{Log: slog.New(slog.NewTextHandler(&warnings, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		gone.Store(true)
		close(leave)
		time.Sleep(2 * time.Second)
		if f.ended(t, "refused") == 0 || warnings.String() != "" {
			t.Errorf("warned of a goodbye: %s", warnings.String())
		}
		time.Sleep(10 * time.Second)
		if n := strings.Count(warnings.String(), "revocation stream ended"); n != 1 {
			t.Errorf("%d warnings of a server that stays away: %s", n, warnings.String())
		}
	})
}

// TestFollower_OutlivesAServerThatHangs, as one does that gets SIGSTOP: nothing breaks, nothing comes.
func TestFollower_OutlivesAServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		f := follow(t, iss, token.FollowerOptions{})
		time.Sleep(10 * time.Second)
		iss.Stall()
		time.Sleep(4 * time.Second)
		if err := f.view.Fresh(); err != nil {
			t.Errorf("within the limit: %v", err)
		}
		time.Sleep(2 * time.Second)
		if f.view.Fresh() == nil {
			t.Error("fresh while the server hangs")
		}
		if f.ended(t, "idle") < 1 {
			t.Error("the hanging stream was kept")
		}
		iss.Revoke(token.KindSession, "meanwhile")
		iss.Recover()
		time.Sleep(3 * time.Second)
		if f.view.Fresh() != nil || f.view.Check(of("meanwhile")) == nil {
			t.Errorf("after it woke: %v", f.view.Fresh())
		}
	})
}

// TestFollower_DelayedHeartbeatsDoNotMakeFresh: a proxy holds every line back for longer and longer. Freshness counts
// from when a heartbeat was made.
func TestFollower_DelayedHeartbeatsDoNotMakeFresh(t *testing.T) {
	for _, c := range []struct {
		delay time.Duration
		fresh bool
	}{{0, true}, {2 * time.Second, true}, {6 * time.Second, false}, {time.Minute, false}} {
		t.Run(c.delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := follow(t, delayed(c.delay), token.FollowerOptions{IdleTimeout: time.Hour, DialTimeout: time.Hour})
				time.Sleep(c.delay + 10*time.Second)
				if got := f.view.Fresh() == nil; got != c.fresh {
					t.Errorf("fresh = %v", got)
				}
				if lagging := f.ended(t, "lagging") > 0; lagging == c.fresh {
					t.Errorf("streams that lag are ended: %v", lagging)
				}
			})
		})
	}
}

// delayed is a stream that arrives later than it was sent, from its first line on.
func delayed(by time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			return
		}
		wait := by
		for made := 0; pause(r.Context(), wait); made += 1000 {
			wait = time.Second
			if _, err := fmt.Fprintf(w, `{"heartbeat":{"seq":0,"elapsed_ms":%d}}`+"\n", made); err != nil {
				return
			}
		}
	})
}

// pause returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// A position that can't be told at once is nothing to warn of: a server that stops closes its door a moment before it ends its streams.
// When it goes on for longer than that while the stream stands, one line says so, until it has been told.
func TestFollower_WarnsOnceOfPositionsItCannotTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var warnings logtest.Text
		var deaf atomic.Bool
		iss := tokentest.NewOffline()
		follow(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && deaf.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			iss.ServeHTTP(w, r)
		}), token.FollowerOptions{Log: slog.New(slog.NewTextHandler(&warnings, nil))})
		for i, c := range []struct {
			deaf  time.Duration
			lines int // in all
		}{{500 * time.Millisecond, 0}, {time.Minute, 1}, {500 * time.Millisecond, 1}, {time.Minute, 2}} {
			deaf.Store(true)
			iss.Revoke(token.KindSession, fmt.Sprint(i))
			time.Sleep(c.deaf)
			deaf.Store(false)
			time.Sleep(10 * time.Second)
			if got := strings.Count(warnings.String(), "could not be acknowledged"); got != c.lines {
				t.Errorf("%d lines after being deaf for %v the %d. time, want %d", got, c.deaf, i+1, c.lines)
			}
		}
	})
}
