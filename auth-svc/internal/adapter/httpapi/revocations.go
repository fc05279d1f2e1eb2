package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// writeTimeout ends a stream whose follower has stopped reading. It comes back and is given the whole live set.
const writeTimeout = 10 * time.Second

// line is one line of the stream; exactly one member is set.
type line struct {
	Entry     *token.Entry `json:"entry,omitempty"`
	Heartbeat *heartbeat   `json:"heartbeat,omitempty"`
	Reset     *reset       `json:"reset,omitempty"`
}

// heartbeat promises that every entry up to Seq has been sent on this stream. ElapsedMS is when that was true, on this
// stream's own clock, so that a follower can tell how long the line lay in buffers on its way.
type heartbeat struct {
	Seq       int64 `json:"seq"`
	ElapsedMS int64 `json:"elapsed_ms"`
}

type reset struct {
	Seq int64 `json:"seq"`
}

// followRevocations streams the log as NDJSON until the follower leaves, stops reading, or the process goes away.
func (a *API) followRevocations(w http.ResponseWriter, r *http.Request) error {
	began := time.Now()
	after, follower, err := followQuery(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	draining := run.Draining(ctx) // a shutdown waits for every answer, and this one has no end
	go func() {
		select {
		case <-draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close") // the deadline of the last line stays on the connection
	s := &stream{header: h, out: json.NewEncoder(w), control: http.NewResponseController(w), began: began}
	err = a.opts.Core.Follow(ctx, follower, after, resumeOf(r.Header.Get(token.LastEntryHeader)), s.send)
	if ctx.Err() != nil && (s.begun || r.Context().Err() != nil) {
		return nil // somebody left: that is how streams end
	}
	if ctx.Err() != nil {
		return fault.New(fault.Unavailable, "this process is going away")
	}
	return err
}

func followQuery(r *http.Request) (after int64, follower string, err error) {
	var bad []fault.Field
	q := r.URL.Query()
	for name := range q {
		if name != "after" && name != "follower" || len(q[name]) != 1 {
			bad = append(bad, fault.Field{Field: name, Code: "INVALID", Detail: "give after and follower, once each"})
		}
	}
	if after, err = strconv.ParseInt(q.Get("after"), 10, 64); err != nil || after < 0 {
		bad = append(bad, fault.Field{Field: "after", Code: "INVALID", Detail: "after is a position in the log, 0 for the beginning"})
	}
	if len(bad) > 0 {
		return 0, "", fault.Validation(bad...)
	}
	return after, q.Get("follower"), nil
}

// resumeOf reads where a follower says it was. What can't be read is no place: it is given everything.
func resumeOf(last string) *identity.Resume {
	seq, mark, ok := token.ParseLastEntry(last)
	if !ok {
		return nil
	}
	return &identity.Resume{Seq: seq, Same: func(r identity.Revocation) bool { return wireEntry(r).Mark() == mark }}
}

// stream writes events as lines, each sent on its way at once.
type stream struct {
	header  http.Header
	out     *json.Encoder
	control *http.ResponseController
	began   time.Time
	begun   bool // something has been written
}

func (s *stream) send(e identity.Event) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("set the stream's deadline: %w", err)
	}
	if e.Kind == identity.EventResumed { // comes first; the follower need not wait for a line to know
		s.header.Set(token.ResumedHeader, strconv.FormatInt(e.Seq, 10))
	}
	s.begun = true
	for _, l := range s.lines(e) {
		if err := s.out.Encode(l); err != nil {
			return fmt.Errorf("write to the revocation stream: %w", err)
		}
	}
	if err := s.control.Flush(); err != nil {
		return fmt.Errorf("flush the revocation stream: %w", err)
	}
	return nil
}

func (s *stream) lines(e identity.Event) []line {
	switch e.Kind {
	case identity.EventHeartbeat:
		return []line{{Heartbeat: &heartbeat{e.Seq, max(0, e.MadeAt.Sub(s.began).Milliseconds())}}}
	case identity.EventResumed:
		return nil
	case identity.EventReset:
		return []line{{Reset: &reset{e.Seq}}}
	default:
		lines := make([]line, 0, len(e.Entries))
		for _, r := range e.Entries {
			lines = append(lines, line{Entry: wireEntry(r)})
		}
		return lines
	}
}

func wireEntry(r identity.Revocation) *token.Entry {
	return &token.Entry{Seq: r.Seq, Kind: token.Kind(r.Kind), ID: r.ID, At: r.At, Until: r.Until, Status: string(r.Status)}
}

type ackRequest struct {
	Follower string `json:"follower"`
	Seq      *int64 `json:"seq"`
	Leaving  bool   `json:"leaving"` // it lets nobody in any more
}

// Validate asks for what is missing.
func (in ackRequest) Validate() (bad []fault.Field) {
	if in.Follower == "" {
		bad = append(bad, required("follower"))
	}
	if in.Seq == nil {
		bad = append(bad, required("seq"))
	}
	return bad
}

func (a *API) ackRevocations(ctx context.Context, in ackRequest) (web.NoContent, error) {
	if in.Leaving {
		a.opts.Core.Bye(in.Follower)
		return web.NoContent{}, nil
	}
	if err := a.opts.Core.Ack(ctx, in.Follower, *in.Seq); err != nil {
		return web.NoContent{}, err
	}
	a.opts.AckApplied(*in.Seq)
	return web.NoContent{}, nil
}
