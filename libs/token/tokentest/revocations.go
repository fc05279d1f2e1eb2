package tokentest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"cloakroom.dev/libs/token"
)

type mode int

const (
	healthy mode = iota
	stalled      // accepts connections, says nothing more, like a stopped process
	down         // drops its streams and answers 503
	closed       // as down, for good
)

type revocationLog struct {
	entries []token.Entry
	head    int64
	cut     int // grows when streams must end
	raw     []string
	acks    map[string]int64
	open    map[string]int // streams by follower
}

func newRevocationLog() revocationLog {
	return revocationLog{acks: map[string]int64{}, open: map[string]int{}}
}

func (l *revocationLog) has(seq int64, mark string) bool {
	return slices.ContainsFunc(l.entries, func(e token.Entry) bool { return e.Seq == seq && e.Mark() == mark })
}

// Revoke appends an entry that lives an hour, and returns it.
func (i *Issuer) Revoke(kind token.Kind, id string) token.Entry {
	return i.Publish(token.Entry{Kind: kind, ID: id})
}

// Publish appends e under the next position. A zero At is now, a zero Until an hour later.
func (i *Issuer) Publish(e token.Entry) token.Entry {
	i.update(func() {
		i.log.head++
		e.Seq = i.log.head
		if e.At.IsZero() {
			e.At = time.Now().UTC().Truncate(time.Microsecond)
		}
		if e.Until.IsZero() {
			e.Until = e.At.Add(time.Hour)
		}
		i.log.entries = append(i.log.entries, e)
	})
	return e
}

// Restore puts the log back to head, as a restored database would, and ends the streams: followers beyond it are reset.
func (i *Issuer) Restore(head int64) {
	i.update(func() {
		i.log.head = head
		i.log.entries = slices.DeleteFunc(i.log.entries, func(e token.Entry) bool { return e.Seq > head })
		i.log.cut++
	})
}

// Stall makes the issuer hang: streams stay open and say nothing, new requests get no answer. Recover ends it.
func (i *Issuer) Stall() { i.setMode(stalled) }

// Down ends the streams and answers 503 to everything. Recover ends it.
func (i *Issuer) Down() { i.setMode(down) }

// Recover ends Stall and Down.
func (i *Issuer) Recover() { i.setMode(healthy) }

// Cut ends the open streams.
func (i *Issuer) Cut() { i.update(func() { i.log.cut++ }) }

// Say sends a line to the open streams as it stands, whatever it is.
func (i *Issuer) Say(line string) { i.update(func() { i.log.raw = append(i.log.raw, line) }) }

// Acked returns the position that a follower has acknowledged.
func (i *Issuer) Acked(follower string) int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.log.acks[follower]
}

// Streams returns how many streams a follower has open.
func (i *Issuer) Streams(follower string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.log.open[follower]
}

// Head returns the newest position.
func (i *Issuer) Head() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.log.head
}

func (i *Issuer) setMode(m mode) { i.update(func() { i.mode = m }) }

func (i *Issuer) update(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
	close(i.changed)
	i.changed = make(chan struct{})
}

// ServeHTTP plays the auth service.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !i.awaitTurn(w, r) {
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /.well-known/jwks.json":
		i.serveJWKS(w)
	case "GET /internal/v1/revocations":
		i.serveStream(w, r)
	case "POST /internal/v1/revocations/acks":
		i.serveAck(w, r)
	default:
		http.NotFound(w, r)
	}
}

// awaitTurn holds a request while the issuer hangs, and refuses it while it is down.
func (i *Issuer) awaitTurn(w http.ResponseWriter, r *http.Request) bool {
	for {
		i.mu.Lock()
		m, changed := i.mode, i.changed
		i.mu.Unlock()
		switch m {
		case healthy:
			return true
		case stalled:
			select {
			case <-changed:
			case <-r.Context().Done():
				return false
			}
		default:
			http.Error(w, "down", http.StatusServiceUnavailable)
			return false
		}
	}
}

func (i *Issuer) serveAck(w http.ResponseWriter, r *http.Request) {
	var ack struct {
		Follower string `json:"follower"`
		Seq      int64  `json:"seq"`
	}
	if err := json.NewDecoder(r.Body).Decode(&ack); err != nil || ack.Follower == "" {
		http.Error(w, "bad ack", http.StatusBadRequest)
		return
	}
	i.update(func() { i.log.acks[ack.Follower] = ack.Seq })
	w.WriteHeader(http.StatusNoContent)
}

func (i *Issuer) serveStream(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	name := r.URL.Query().Get("follower")
	if err != nil || after < 0 || name == "" {
		http.Error(w, "bad position", http.StatusBadRequest)
		return
	}
	s := &stream{issuer: i, out: json.NewEncoder(w), w: w, began: time.Now(), sent: after}
	i.mu.Lock()
	i.log.open[name]++
	if seq, mark, ok := token.ParseLastEntry(r.Header.Get(token.LastEntryHeader)); ok && i.log.has(seq, mark) {
		s.sent = seq
		w.Header().Set(token.ResumedHeader, strconv.FormatInt(seq, 10))
	}
	s.cut, s.raw, s.reset = i.log.cut, len(i.log.raw), s.sent > i.log.head
	i.mu.Unlock()
	defer i.update(func() { i.log.open[name]-- })
	w.Header().Set("Content-Type", "application/x-ndjson")
	s.run(r)
}

type stream struct {
	issuer   *Issuer
	w        http.ResponseWriter
	out      *json.Encoder
	began    time.Time
	sent     int64 // newest position sent
	cut, raw int   // what of the issuer's had been seen
	reset    bool
}

var errCut = errors.New("stream cut")

func (s *stream) run(r *http.Request) {
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	due := true // the first heartbeat comes right after the backlog
	for {
		changed, quiet, err := s.send(due)
		if err != nil {
			return
		}
		due = due && quiet
		select {
		case <-changed:
		case <-beat.C:
			due = true
		case <-r.Context().Done():
			return
		}
	}
}

// send writes what is new. quiet says that the issuer hangs and nothing was written.
func (s *stream) send(heartbeat bool) (changed <-chan struct{}, quiet bool, err error) {
	i := s.issuer
	i.mu.Lock()
	m, head, cut, changed := i.mode, i.log.head, i.log.cut, i.changed
	entries := slices.Clone(i.log.entries)
	raw := slices.Clone(i.log.raw[s.raw:])
	i.mu.Unlock()
	switch {
	case m == stalled:
		return changed, true, nil
	case m != healthy || cut != s.cut:
		return changed, false, errCut
	}
	if s.reset {
		s.reset, s.sent = false, 0
		err = errors.Join(err, s.line("reset", map[string]int64{"seq": head}))
	}
	for _, e := range entries {
		if e.Seq > s.sent && e.Until.After(time.Now()) {
			err = errors.Join(err, s.line("entry", e))
			s.sent = e.Seq
		}
	}
	for _, line := range raw {
		_, e := s.w.Write([]byte(line))
		err = errors.Join(err, e)
	}
	s.raw += len(raw)
	if heartbeat {
		err = errors.Join(err, s.line("heartbeat", map[string]int64{"seq": head, "elapsed_ms": time.Since(s.began).Milliseconds()}))
	}
	return changed, false, errors.Join(err, http.NewResponseController(s.w).Flush())
}

func (s *stream) line(kind string, body any) error {
	return s.out.Encode(map[string]any{kind: body})
}
