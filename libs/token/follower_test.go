package token_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

const name = "gateway-1"

// following is a follower at work.
type following struct {
	*token.Follower
	view *token.View
	reg  *prometheus.Registry

	mu   sync.Mutex
	asks []string // after, of each stream asked for
}

// follow starts a follower of handler.
func follow(t *testing.T, handler http.Handler, opts token.FollowerOptions) *following {
	t.Helper()
	f := &following{reg: prometheus.NewRegistry()}
	f.view = token.NewView(token.ViewOptions{Registerer: f.reg})
	recorded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			f.mu.Lock()
			f.asks = append(f.asks, r.URL.Query().Get("after"))
			f.mu.Unlock()
		}
		handler.ServeHTTP(w, r)
	})
	opts.Registerer = f.reg
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	f.Follower = token.NewFollower("http://auth.test/", name, tokentest.InProcess(recorded), f.view, opts)
	run(t, f.Run)
	synctest.Wait()
	return f
}

func (f *following) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asks)
}

func (f *following) ended(t *testing.T, why string) float64 {
	t.Helper()
	return metric(t, f.reg, "cloakroom_revocation_streams_total", why)
}

func of(session string) principal.Principal {
	return principal.Principal{UserID: "u", SessionID: session, KeyID: "k"}
}

func TestFollower_TakesTheBacklogThenFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		iss.Revoke(token.KindSession, "old")
		iss.Publish(token.Entry{Kind: token.KindSession, ID: "over", Until: time.Now().Add(-time.Second)})
		f := follow(t, iss, token.FollowerOptions{})
		if err := errors.Join(f.Ready(t.Context()), f.view.Fresh()); err != nil {
			t.Error(err)
		}
		if f.view.Check(of("old")) == nil || f.view.Head() != 2 || iss.Acked(name) != 2 || iss.Streams(name) != 1 {
			t.Errorf("head %d, acknowledged %d", f.view.Head(), iss.Acked(name))
		}
		iss.Revoke(token.KindSession, "new")
		synctest.Wait() // no time passes
		if f.view.Check(of("new")) == nil || iss.Acked(name) != 3 {
			t.Errorf("a new entry was not taken at once; acknowledged %d", iss.Acked(name))
		}
		time.Sleep(time.Hour)
		if err := f.view.Fresh(); err != nil {
			t.Error(err)
		}
		if n := f.ended(t, "renewed"); n < 5 || n > 8 || float64(len(f.asked())) != n+1 {
			t.Errorf("%v streams were renewed in an hour, of %d", n, len(f.asked()))
		}
		if got := metric(t, f.reg, "cloakroom_revocation_entries_received_total"); got != 2 {
			t.Errorf("%v entries received, want each once", got)
		}
	})
}

func TestFollower_IsReadyOnlyAfterTheFirstHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		beat := make(chan struct{})
		f := follow(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				return
			}
			_, _ = io.WriteString(w, line(entry(1, token.KindSession, "s", time.Hour)))
			<-beat
			_, _ = io.WriteString(w, `{"heartbeat":{"seq":1,"elapsed_ms":0}}`+"\n")
			<-r.Context().Done()
		}), token.FollowerOptions{})
		if f.view.Check(of("s")) == nil || f.Ready(t.Context()) == nil || f.view.Fresh() == nil {
			t.Error("ready in the middle of the backlog")
		}
		close(beat)
		synctest.Wait()
		if err := errors.Join(f.Ready(t.Context()), f.view.Fresh()); err != nil {
			t.Error(err)
		}
	})
}

func line(e token.Entry) string {
	data, err := json.Marshal(map[string]token.Entry{"entry": e})
	if err != nil {
		panic(err)
	}
	return string(data) + "\n"
}

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
		if tries < 30 || tries > 70 {
			t.Errorf("%d tries in a minute: pauses should grow to 2 s", tries)
		}
		if f.view.Fresh() == nil || f.Ready(t.Context()) != nil {
			t.Error("fresh without news, or no longer ready")
		}
		if got := metric(t, f.reg, "cloakroom_revocation_stream_up"); got != 0 {
			t.Error("a stream is said to be up")
		}
		iss.Recover()
		time.Sleep(2 * time.Second)
		if err := f.view.Fresh(); err != nil {
			t.Error(err)
		}
	})
}

// TestFollower_OutlivesAServerThatHangs, as one does that gets SIGSTOP: nothing breaks, nothing comes.
// A server that ends its streams itself is being stopped, as it should be: only when it stays away it is worth a warning.
func TestFollower_AGoodbyeIsNoWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var warnings lockedText
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

// lockedText is written by one goroutine and read by another.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

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

func TestFollower_ObeysAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		iss.Revoke(token.KindSession, "kept")
		iss.Revoke(token.KindSession, "undone")
		f := follow(t, iss, token.FollowerOptions{})
		iss.Restore(1)
		time.Sleep(time.Second)
		if f.view.Check(of("kept")) == nil || f.view.Check(of("undone")) != nil || f.view.Head() != 1 || f.view.Fresh() != nil {
			t.Errorf("head %d, %v", f.view.Head(), f.view.Fresh())
		}
		iss.Revoke(token.KindSession, "next") // position 2 again, another entry
		synctest.Wait()
		if f.view.Check(of("next")) == nil || iss.Acked(name) != 2 {
			t.Error("did not go on after the reset")
		}
	})
}

// TestFollower_DistrustsPositionsAfterAGap: a log that was replaced while nobody looked may have grown past our position
// since, so that no reset is sent.
func TestFollower_DistrustsPositionsAfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		for i := range 5 {
			iss.Revoke(token.KindSession, fmt.Sprint("before-", i))
		}
		f := follow(t, iss, token.FollowerOptions{})
		iss.Down()
		iss.Restore(2)
		for i := range 10 {
			iss.Revoke(token.KindSession, fmt.Sprint("after-", i))
		}
		time.Sleep(10 * time.Second)
		iss.Recover()
		time.Sleep(3 * time.Second)
		for i := range 10 {
			if f.view.Check(of(fmt.Sprint("after-", i))) == nil {
				t.Errorf("after-%d was missed", i)
			}
		}
		if f.view.Check(of("before-4")) != nil {
			t.Error("an entry of the old log is still held")
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

// TestFollower_GarbageNeverWidensAcceptance: a line that breaks the rules ends the stream, and what was revoked stays so.
func TestFollower_GarbageNeverWidensAcceptance(t *testing.T) {
	at := `"at":"2026-01-01T00:00:00Z","until":"2999-01-01T00:00:00Z"`
	for name, garbage := range map[string]string{
		"no JSON":              "hello\n",
		"an empty line":        "\n",
		"an empty object":      "{}\n",
		"null":                 "null\n",
		"an array":             "[]\n",
		"two things":           `{"heartbeat":{"seq":9,"elapsed_ms":0},"entry":{"seq":9,"kind":"session","id":"x",` + at + "}}\n",
		"unknown kind":         `{"entry":{"seq":9,"kind":"planet","id":"x",` + at + "}}\n",
		"no id":                `{"entry":{"seq":9,"kind":"session","id":"",` + at + "}}\n",
		"a long id":            `{"entry":{"seq":9,"kind":"session","id":"` + strings.Repeat("x", 200) + `",` + at + "}}\n",
		"no until":             `{"entry":{"seq":9,"kind":"session","id":"x","at":"2026-01-01T00:00:00Z"}}` + "\n",
		"a broken time":        `{"entry":{"seq":9,"kind":"session","id":"x","at":"yesterday","until":"tomorrow"}}` + "\n",
		"an old position":      `{"entry":{"seq":1,"kind":"session","id":"x",` + at + "}}\n",
		"a negative position":  `{"entry":{"seq":-1,"kind":"session","id":"x",` + at + "}}\n",
		"a heartbeat before":   `{"heartbeat":{"seq":0,"elapsed_ms":0}}` + "\n",
		"half a heartbeat":     `{"heartbeat":{"seq":9}}` + "\n",
		"from the future":      `{"heartbeat":{"seq":9,"elapsed_ms":3600000}}` + "\n",
		"from before":          `{"heartbeat":{"seq":9,"elapsed_ms":-5}}` + "\n",
		"an overflow":          `{"heartbeat":{"seq":9,"elapsed_ms":9223372036854775807}}` + "\n",
		"a fraction":           `{"heartbeat":{"seq":9.5,"elapsed_ms":0}}` + "\n",
		"an endless line":      strings.Repeat("x", 1<<20),
		"an endless JSON line": `{"entry":{"id":"` + strings.Repeat("x", 1<<20),
		"a null byte":          "\x00\n",
		"not UTF-8 at all":     "\xff\xfe\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				iss := tokentest.NewOffline()
				iss.Revoke(token.KindSession, "dead")
				f := follow(t, iss, token.FollowerOptions{})
				iss.Say(garbage)
				synctest.Wait()
				if f.view.Check(of("dead")) == nil || f.view.Head() != 1 {
					t.Errorf("garbage was taken: head %d", f.view.Head())
				}
				if f.ended(t, "garbage") != 1 {
					t.Error("the stream went on")
				}
				time.Sleep(time.Second)
				if err := f.view.Fresh(); err != nil || iss.Streams("gateway-1") != 1 {
					t.Errorf("did not recover: %v", err)
				}
			})
		})
	}
}

// TestFollower_LastingGarbageMakesTheViewRefuse: an entry that is never understood is not passed over.
func TestFollower_LastingGarbageMakesTheViewRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		f := follow(t, iss, token.FollowerOptions{})
		iss.Revoke("planet", "earth")
		time.Sleep(6 * time.Second)
		if f.view.Fresh() == nil {
			t.Error("fresh, though an entry was not understood")
		}
	})
}

func TestFollower_TellsEveryEntryInOrderUntilItIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		var taken []string
		fail := 3
		f := follow(t, iss, token.FollowerOptions{OnEntry: func(_ context.Context, e token.Entry) error {
			if e.ID == "b" && fail > 0 {
				fail--
				return errors.New("disk full")
			}
			taken = append(taken, e.ID)
			return nil
		}})
		for _, id := range []string{"a", "b", "c"} {
			iss.Revoke(token.KindUserDeleted, id)
		}
		synctest.Wait()
		if f.view.Check(principal.Principal{UserID: "b"}) == nil || iss.Acked(name) != 1 {
			t.Errorf("the view waits for the consumer, or acknowledged %d", iss.Acked(name))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		// What was taken comes again after a stream that broke; nothing comes before what was not taken.
		if diff := cmp.Diff([]string{"a", "a", "a", "a", "b", "c"}, taken); diff != "" || f.ended(t, "consumer") != 3 || iss.Acked(name) != 3 {
			t.Errorf("taken (-want +got):\n%s", diff)
		}
	})
}

func TestFollower_AnOverfullViewStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		view := token.NewView(token.ViewOptions{MaxEntries: 10})
		follower := token.NewFollower("http://auth.test", name, iss.Client(), view, token.FollowerOptions{})
		run(t, follower.Run)
		for i := range 20 {
			iss.Publish(token.Entry{Kind: token.KindSession, ID: fmt.Sprint(i), Until: time.Now().Add(time.Duration(i) * time.Minute)})
		}
		time.Sleep(time.Minute)
		if view.Fresh() == nil {
			t.Error("fresh while entries are missing")
		}
		time.Sleep(15 * time.Minute) // by then few are left
		if err := view.Fresh(); err != nil || view.Check(of("19")) == nil {
			t.Errorf("did not recover: %v", err)
		}
	})
}

// TestFollower_AcknowledgesTheNewestOnly: while an acknowledgement is on its way, those behind it join into one; and a
// failing one is tried again.
func TestFollower_AcknowledgesTheNewestOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		var mu sync.Mutex
		var told []int64
		f := follow(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				var ack struct{ Seq int64 }
				_ = json.NewDecoder(r.Body).Decode(&ack)
				mu.Lock()
				told = append(told, ack.Seq)
				failing := len(told) == 2
				mu.Unlock()
				pause(r.Context(), 500*time.Millisecond)
				if failing {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return
			}
			iss.ServeHTTP(w, r)
		}), token.FollowerOptions{})
		for i := range 100 {
			iss.Revoke(token.KindSession, fmt.Sprint(i))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff([]int64{0, 100, 100}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if ok, failed := metric(t, f.reg, "cloakroom_revocation_acks_total", "ok"), metric(t, f.reg, "cloakroom_revocation_acks_total", "error"); ok != 2 || failed != 1 {
			t.Errorf("%v told, %v failed", ok, failed)
		}
	})
}

func TestFollower_RefusesStrangeAnswers(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		},
		"not found":  http.NotFound,
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"an end":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
		"half a line": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"heartbeat":{"seq":0,"elapsed_ms":0}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := follow(t, answer, token.FollowerOptions{})
				time.Sleep(time.Minute)
				if f.Ready(t.Context()) == nil || f.view.Fresh() == nil {
					t.Error("ready by such an answer")
				}
				if n := len(f.asked()); n > 70 {
					t.Errorf("%d tries in a minute", n)
				}
			})
		})
	}
}

// TestFollower_OverTheNetwork: the same over real connections, through a restart of the server.
func TestFollower_OverTheNetwork(t *testing.T) {
	iss := tokentest.New(t)
	v, view := iss.Verifier(t, name)
	for i := range 3 {
		session := fmt.Sprint("s-", i)
		raw := iss.Mint(tokentest.Session(session))
		if _, err := v.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
		iss.Revoke(token.KindSession, session)
		eventually(t, "refusal", func() bool {
			_, err := v.Verify(t.Context(), raw)
			return fault.KindOf(err) == fault.InvalidToken
		})
		eventually(t, "acknowledgement", func() bool { return iss.Acked(name) == int64(i+1) })
		iss.Down()
		eventually(t, "the end of the stream", func() bool { return iss.Streams(name) == 0 })
		iss.Recover()
		eventually(t, "a new stream", func() bool { return iss.Streams(name) == 1 && view.Fresh() == nil })
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
