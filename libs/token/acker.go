package token

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/replica"
)

// acker tells the auth service how far this follower has come, at the replica whose stream it follows; any other would
// pass it on. Only the newest position is ever told: while one is on its way, those that follow join into one.
type acker struct {
	at      *replica.Set
	name    string
	client  *http.Client
	timeout time.Duration
	log     *slog.Logger
	newest  atomic.Int64
	told    int64 // touched by run only
	again   atomic.Bool
	wake    chan struct{}
	up      *atomic.Bool // whether the stream is being followed

	sent, failed prometheus.Counter
}

func newAcker(at *replica.Set, name string, client *http.Client, up *atomic.Bool, opts FollowerOptions) *acker {
	results := counterVec(opts.Registerer, "cloakroom_revocation_acks_total", "Positions acknowledged to the auth service, by result.", "result")
	return &acker{
		at: at, name: name, client: client, timeout: opts.DialTimeout, log: opts.Log, wake: make(chan struct{}, 1), up: up,
		sent: results.WithLabelValues("ok"), failed: results.WithLabelValues("error"),
	}
}

// reached notes a position. again asks for it to be told even if it was told before, for a server that has forgotten.
func (a *acker) reached(seq int64, again bool) {
	if a.newest.Swap(seq) == seq && !again {
		return
	}
	if again {
		a.again.Store(true)
	}
	select {
	case a.wake <- struct{}{}:
	default: // run will look
	}
}

// ackPatience is how long a position may fail to be told before that is worth a line, while the stream goes on. A server that stops
// closes its door a moment before it ends its streams; when the stream has ended too, the follower says so itself.
const ackPatience = time.Second

// run tells positions until ctx ends.
func (a *acker) run(ctx context.Context) {
	wait := firstBackoff
	var failing time.Time // since when; zero while all is well
	warned := false
	for {
		select {
		case <-a.wake:
		case <-ctx.Done():
			return
		}
		for a.again.Swap(false) || a.newest.Load() != a.told {
			err := a.tell(ctx, a.newest.Load())
			if err == nil {
				wait, failing, warned = firstBackoff, time.Time{}, false
				continue
			}
			if ctx.Err() != nil {
				return
			}
			a.again.Store(true)
			if failing.IsZero() {
				failing = time.Now()
			}
			if !warned && a.up.Load() && time.Since(failing) > ackPatience { // hours of it are one line
				warned = true
				a.log.WarnContext(ctx, "revocation position could not be acknowledged", "error", err)
			}
			if !sleep(ctx, jitter(wait, 0.5)) {
				return
			}
			wait = min(2*wait, maxBackoff)
		}
	}
}

// goodbyeTimeout is what the end of a process may be held up by its goodbye.
const goodbyeTimeout = 500 * time.Millisecond

// goodbye says that nobody is let in here any more, so that nobody is waited for. A server that does not hear it waits a while.
func (a *acker) goodbye(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
	defer cancel()
	_ = a.post(ctx, map[string]any{"follower": a.name, "seq": a.newest.Load(), "leaving": true})
}

func (a *acker) tell(ctx context.Context, seq int64) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if err := a.post(ctx, map[string]any{"follower": a.name, "seq": seq}); err != nil {
		a.failed.Inc()
		return err
	}
	a.sent.Inc()
	a.told = seq
	return nil
}

func (a *acker) post(ctx context.Context, message map[string]any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode acknowledgement: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.at.Current()+streamPath+"/acks", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("acknowledge position: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("acknowledge position: %w", err)
	}
	defer func() { _ = res.Body.Close() }()                     // only read from
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10)) // so that the connection can serve again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("acknowledge position: status %d", res.StatusCode)
	}
	return nil
}
