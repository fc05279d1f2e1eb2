package token

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxLineBytes bounds a line of the stream; an entry is about 200 bytes.
const maxLineBytes = 4 << 10

// ending says why a stream ended.
type ending string

const (
	endRenewed    ending = "renewed"    // it was old enough; the next one begins at once
	endRefused    ending = "refused"    // no stream was to be had
	endClosed     ending = "closed"     // by the server or on the way
	endIdle       ending = "idle"       // no line in time
	endGarbage    ending = "garbage"    // a line that breaks the rules
	endLagging    ending = "lagging"    // lines arrive too late to prove freshness by
	endIncomplete ending = "incomplete" // the view could not take an entry in
	endConsumer   ending = "consumer"   // OnEntry failed
)

var errIdle = errors.New("no line in time")

// stream is one connection's worth of following.
type stream struct {
	*Follower
	began  time.Time // before the server began
	renew  time.Time
	anew   bool   // the view is to be forgotten, and made from all live entries
	reread bool   // all live entries are read, and what is not among them is then forgotten
	named  string // the newest entry we have, as the server was told
	beaten bool   // there was a heartbeat
}

// follow opens a stream at one address and takes in what comes, until it ends.
func (f *Follower) follow(ctx context.Context, at string) (ending, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(f.opts.DialTimeout, func() { cancel(errIdle) })
	defer watchdog.Stop()

	s := &stream{Follower: f, began: time.Now()}
	s.renew = s.began.Add(jitter(maxStreamAge, 0.2))
	// A view that went stale may be of a log that has been replaced since. Positions are then worth nothing.
	s.anew = f.view.Fresh() != nil
	// And so may one whose stream broke: a restored log can have grown past our position with other entries before we ask
	// again. All live entries are read then, while the view goes on refusing what it knows, until it knows better. Unless the
	// server finds the newest entry we have where we say it is: then the log is the same, and what came after it is enough.
	s.reread = f.broken && !s.anew
	if s.anew || s.reread {
		s.begin()
	}
	res, err := s.open(ctx, at)
	if err == nil {
		err = s.takenUp(res)
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), errIdle) {
			return endIdle, errIdle
		}
		return endRefused, err
	}
	defer func() { _ = res.Body.Close() }() // only read from
	if s.anew {
		f.view.Reset()
	}
	if s.reread {
		f.view.reread()
	}
	lines := bufio.NewReaderSize(res.Body, maxLineBytes)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(context.Cause(ctx), errIdle):
			return endIdle, errIdle
		case errors.Is(err, bufio.ErrBufferFull):
			return endGarbage, fmt.Errorf("a line of more than %d bytes", maxLineBytes)
		case err != nil:
			return endClosed, err
		}
		watchdog.Reset(f.opts.IdleTimeout)
		if end, err := s.take(ctx, line); end != "" {
			return end, err
		}
	}
}

// begin asks for all live entries, and names the newest one we have if we have all up to it.
func (s *stream) begin() {
	s.after = 0
	if s.whole && s.newest.Seq > 0 {
		s.named = lastEntry(s.newest)
	}
}

// takenUp looks whether the server goes on behind the entry we have named.
func (s *stream) takenUp(res *http.Response) error {
	switch said := res.Header.Get(ResumedHeader); {
	case s.named != "" && said == formatSeq(s.newest.Seq):
		s.after, s.anew, s.reread = s.newest.Seq, false, false
	case said != "":
		_ = res.Body.Close()
		return fmt.Errorf("goes on after %q, which was not asked for", said)
	case s.anew || s.reread:
		s.whole, s.newest = false, Entry{}
	}
	return nil
}

func (s *stream) open(ctx context.Context, at string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.streamURL(at, s.after), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/x-ndjson")
	if s.named != "" {
		req.Header.Set(LastEntryHeader, s.named)
	}
	req.Header.Set("Accept-Encoding", "identity") // a compressor on the way would hold lines back
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	return res, nil
}

// line is what the stream consists of; exactly one member is there.
type line struct {
	Entry     *Entry `json:"entry"`
	Heartbeat *struct {
		Seq       *int64 `json:"seq"`
		ElapsedMS *int64 `json:"elapsed_ms"`
	} `json:"heartbeat"`
	Reset *struct {
		Seq int64 `json:"seq"`
	} `json:"reset"`
}

// take does what one line says. It returns why the stream must end, or "".
func (s *stream) take(ctx context.Context, data []byte) (ending, error) {
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return endGarbage, err
	}
	switch {
	case l.Entry != nil && l.Heartbeat == nil && l.Reset == nil:
		return s.takeEntry(ctx, *l.Entry)
	case l.Heartbeat != nil && l.Entry == nil && l.Reset == nil:
		if l.Heartbeat.Seq == nil || l.Heartbeat.ElapsedMS == nil {
			return endGarbage, errors.New("half a heartbeat")
		}
		return s.takeHeartbeat(*l.Heartbeat.Seq, *l.Heartbeat.ElapsedMS)
	case l.Reset != nil && l.Entry == nil && l.Heartbeat == nil:
		s.view.Reset()
		s.after, s.beaten, s.whole, s.newest = 0, false, false, Entry{}
		s.opts.Log.WarnContext(ctx, "revocation log was reset", "head", l.Reset.Seq)
		return "", nil
	default:
		return endGarbage, errors.New("a line that says nothing known, or several things")
	}
}

// takeEntry takes nothing half: an entry that can't be understood ends the stream, and comes again on the next one. One
// that is never understood leaves the view without heartbeats, until it refuses.
func (s *stream) takeEntry(ctx context.Context, e Entry) (ending, error) {
	if _, known := e.Kind.index(); !known || e.ID == "" || len(e.ID) > maxIDBytes || e.At.IsZero() || e.Until.IsZero() {
		return endGarbage, fmt.Errorf("entry %d is malformed, or of an unknown kind", e.Seq)
	}
	if e.Seq <= s.after {
		return endGarbage, fmt.Errorf("entry %d after position %d", e.Seq, s.after)
	}
	s.entries.Inc()
	s.view.Apply(e)
	if s.view.Incomplete() {
		s.whole = false
		return endIncomplete, errors.New("more live entries than the view may hold")
	}
	if s.opts.OnEntry != nil {
		if err := s.opts.OnEntry(ctx, e); err != nil {
			return endConsumer, err
		}
	}
	s.after, s.newest = e.Seq, e
	s.acks.reached(s.after, false)
	return "", nil
}

func (s *stream) takeHeartbeat(head, elapsedMS int64) (ending, error) {
	now := time.Now()
	received := now.Sub(s.began)
	elapsed := time.Duration(elapsedMS) * time.Millisecond
	// Two honest clocks part by 500 millionths at most. More means that the figure is not to be believed.
	if elapsedMS < 0 || elapsedMS > received.Milliseconds()+received.Milliseconds()/2000+50 {
		return endGarbage, fmt.Errorf("heartbeat from the future: made after %v, received after %v", elapsed, received)
	}
	if head < s.after {
		return endGarbage, fmt.Errorf("heartbeat at %d after position %d", head, s.after)
	}
	if s.reread && !s.beaten {
		s.view.forgetUnread()
	}
	s.after = head
	s.view.Heard(head, s.began.Add(elapsed))
	s.acks.reached(head, !s.beaten)
	s.beaten, s.whole = true, true
	s.ready.Store(true)
	s.up.Store(true)
	switch lag := received - elapsed; {
	case lag > s.view.opts.MaxStaleness/2:
		return endLagging, fmt.Errorf("heartbeat took %v", lag)
	case now.After(s.renew):
		return endRenewed, nil
	default:
		return "", nil
	}
}

func formatSeq(seq int64) string { return strconv.FormatInt(seq, 10) }
