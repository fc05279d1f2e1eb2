package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/token"

	"log/slog"
)

// follower reads the revocation stream as a gateway does.
type follower struct {
	entries    chan token.Entry
	heartbeats chan beat
	resets     chan int64
	leave      context.CancelFunc
	ended      chan struct{}
}

type beat struct {
	Seq       int64 `json:"seq"`
	ElapsedMS int64 `json:"elapsed_ms"`
}

func (h *house) follow(t *testing.T, name string, after int64) *follower {
	t.Helper()
	return followAt(t, h.internal.URL, name, after)
}

func followAt(t *testing.T, base, name string, after int64) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("%s/internal/v1/revocations?after=%d&follower=%s", base, after, name), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("stream answers %d %v", res.StatusCode, res.Header)
	}
	f := &follower{
		entries: make(chan token.Entry, 1000), heartbeats: make(chan beat, 1000), resets: make(chan int64, 10),
		leave: cancel, ended: make(chan struct{}),
	}
	go f.read(t, res)
	t.Cleanup(func() { cancel(); <-f.ended })
	return f
}

func (f *follower) read(t *testing.T, res *http.Response) {
	defer close(f.ended)
	defer close(f.entries)
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		var l struct {
			Entry     *token.Entry
			Heartbeat *beat
			Reset     *struct{ Seq int64 }
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Errorf("line %s: %v", lines.Bytes(), err)
			return
		}
		switch {
		case l.Entry != nil:
			f.entries <- *l.Entry
		case l.Heartbeat != nil:
			f.heartbeats <- *l.Heartbeat
		case l.Reset != nil:
			f.resets <- l.Reset.Seq
		default:
			t.Errorf("line %s says nothing", lines.Bytes())
		}
	}
}

// next takes from a channel what is certain to come.
func next[T any](t *testing.T, from chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatalf("no %s came", what)
		panic("unreachable")
	}
}

func (h *house) logout(s session) {
	h.t.Helper()
	h.do(ask{method: "POST", path: "/v1/auth/logout", token: s.access()}).want(204, "")
}

func TestRevocations_BacklogThenHeartbeatThenNews(t *testing.T) {
	h := openHouse(t)
	before, after := h.signup("ada"), []session{h.signup("bob"), h.signup("carl"), h.signup("dan"), h.signup("eve")}
	h.logout(before)

	f := h.follow(t, "gateway-1", 0)
	e := next(t, f.entries, "backlog")
	if e.Kind != token.KindSession || e.ID != before.Session.SessionID || e.Seq < 1 || !e.Until.After(e.At) {
		t.Errorf("backlog has %+v", e)
	}
	b := next(t, f.heartbeats, "heartbeat after the backlog")
	if b.Seq != e.Seq {
		t.Errorf("heartbeat %+v after entry %d", b, e.Seq)
	}

	last, quickest := e.Seq, time.Hour
	for _, s := range after { // a busy machine is slow with some of them; were they sent with the heartbeats, each would be
		began := time.Now()
		h.logout(s)
		n := next(t, f.entries, "entry")
		if n.ID != s.Session.SessionID || n.Seq != last+1 {
			t.Errorf("news is %+v", n)
		}
		last, quickest = n.Seq, min(quickest, time.Since(began))
	}
	if quickest > 200*time.Millisecond {
		t.Errorf("the quickest news took %s", quickest)
	}

	for b.Seq != last {
		b = next(t, f.heartbeats, "heartbeat after the news")
	}
	var apart []int64
	for range 4 { // a busy machine makes one late, and not each
		c := next(t, f.heartbeats, "another heartbeat")
		if apart = append(apart, c.ElapsedMS-b.ElapsedMS); apart[len(apart)-1] > 500 && apart[len(apart)-1] < 1900 {
			return
		}
		b = c
	}
	t.Errorf("heartbeats are %v ms apart, not a second", apart)
}

func TestRevocations_ResumeFromAPosition(t *testing.T) {
	h := openHouse(t)
	for i := range 3 {
		h.logout(h.signup(fmt.Sprintf("user%d", i)))
	}
	first := next(t, h.follow(t, "a", 0).entries, "backlog")
	f := h.follow(t, "b", first.Seq)
	if e := next(t, f.entries, "rest"); e.Seq != first.Seq+1 {
		t.Errorf("resumed with %+v", e)
	}
	if e := next(t, f.entries, "rest"); e.Seq != first.Seq+2 {
		t.Errorf("resumed with %+v", e)
	}
	if b := next(t, f.heartbeats, "heartbeat"); b.Seq != first.Seq+2 {
		t.Errorf("heartbeat %+v", b)
	}
}

func TestRevocations_AFollowerAheadOfTheLogIsReset(t *testing.T) {
	h := openHouse(t)
	h.logout(h.signup("ada"))
	f := h.follow(t, "a", 1_000_000)
	head := next(t, f.resets, "reset")
	if e := next(t, f.entries, "live set"); e.Seq != head {
		t.Errorf("reset to %d, then %+v", head, e)
	}
	if b := next(t, f.heartbeats, "heartbeat"); b.Seq != head {
		t.Errorf("heartbeat %+v", b)
	}
}

func TestRevocations_RefusesNonsense(t *testing.T) {
	h := openHouse(t)
	for _, query := range []string{
		"", "after=0", "follower=a", "after=-1&follower=a", "after=x&follower=a", "after=1e3&follower=a",
		"after=99999999999999999999&follower=a", "after=0&after=1&follower=a", "after=0&follower=a&x=1", "after=0&follower=",
		"after=0&follower=a%0Ab", "after=0&follower=" + fmt.Sprintf("%0200d", 1),
	} {
		h.do(ask{method: "GET", path: "/internal/v1/revocations?" + query, internal: true}).want(400, "VALIDATION_ERROR")
	}
	acks := "/internal/v1/revocations/acks"
	for _, body := range []string{`{}`, `{"follower":"a"}`, `{"seq":1}`, `{"follower":"a","seq":"1"}`, `{"follower":"a","seq":1,"x":1}`} {
		h.do(ask{method: "POST", path: acks, internal: true, body: body}).want(400, "VALIDATION_ERROR")
	}
	h.do(ask{method: "POST", path: acks, internal: true, body: object{"follower": "nobody", "seq": 1}}).want(404, "NOT_FOUND")
	h.follow(t, "here", 0)
	h.do(ask{method: "POST", path: acks, internal: true, body: object{"follower": "here", "seq": 99}}).want(400, "VALIDATION_ERROR")
	h.do(ask{method: "POST", path: acks, internal: true, body: object{"follower": "here", "seq": 0}}).want(204, "")
}

func TestRevocations_StreamsDoNotHoldADrain(t *testing.T) {
	h := openHouse(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- run.Serve(ctx, run.ServeOptions{Log: slog.New(slog.DiscardHandler), DrainTimeout: time.Minute},
			[]run.Server{{Name: "internal", Listener: listener, Handler: h.service.InternalHandler(), Stage: run.Back}})
	}()
	f := followAt(t, "http://"+listener.Addr().String(), "a", 0)
	next(t, f.heartbeats, "heartbeat")
	began := time.Now()
	stop()
	if err := <-served; err != nil || time.Since(began) > 15*time.Second {
		t.Errorf("drained in %s: %v", time.Since(began), err)
	}
	<-f.ended
}

func TestInternal_IsNotOnThePublicListener(t *testing.T) {
	h := openHouse(t)
	for _, path := range []string{"/internal/v1/revocations?after=0&follower=a", "/internal/v1/introspect", "/internal/v1/api-keys/exchange", "/metrics", "/debug/pprof/"} {
		h.do(ask{method: "GET", path: path}).want(404, "NOT_FOUND")
	}
	h.do(ask{method: "POST", path: "/v1/auth/login", internal: true, body: object{"identifier": "a", "password": "b"}}).want(404, "NOT_FOUND")
}
