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
	"sync"
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
		// A stream that broke goes on behind what was taken; nothing comes before what was not taken.
		if diff := cmp.Diff([]string{"a", "b", "c"}, taken); diff != "" || f.ended(t, "consumer") != 3 || iss.Acked(name) != 3 {
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
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
