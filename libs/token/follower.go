package token

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
)

// FollowerOptions tune a Follower. The zero value works.
type FollowerOptions struct {
	// OnEntry is told each entry in order, after the view has it. It must be quick and durable (write a row), and must
	// tolerate an entry that comes again. When it fails the stream is taken up again from before that entry.
	OnEntry      func(ctx context.Context, e Entry) error
	DialTimeout  time.Duration // until the answer's header; default 3 s
	IdleTimeout  time.Duration // without a line; default 3 s
	MaxBackoff   time.Duration // between two attempts; default 2 s
	MaxStreamAge time.Duration // after which the stream is opened anew; default 10 min
	Log          *slog.Logger
	Registerer   prometheus.Registerer
}

// Follower keeps a View true by following the auth service's revocation stream.
type Follower struct{}

// NewFollower makes a follower of the auth service's internal listener at baseURL. name tells it apart from the other
// followers there. A client's own Timeout is not used: the stream never ends.
func NewFollower(baseURL, name string, client *http.Client, view *View, opts FollowerOptions) *Follower {
	return &Follower{}
}

// Run follows until ctx ends, through whatever becomes of the server.
func (f *Follower) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Ready returns nil once the live entries have been taken in.
func (f *Follower) Ready(ctx context.Context) error {
	return fault.New(fault.Unavailable, "the revocation log has not been read yet")
}
