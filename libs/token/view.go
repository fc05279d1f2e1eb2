package token

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// ViewOptions tune a View. The zero value works.
type ViewOptions struct {
	MaxStaleness time.Duration // older than this the view proves nothing; default 5 s
	MaxEntries   int           // more live entries than this make the view refuse, never forget; default 1 Mi
	Registerer   prometheus.Registerer
}

// View is what a process knows of the revocation log: an exact set of the live entries, and how old that knowledge is.
// It is safe for use by many goroutines.
type View struct{}

// NewView makes an empty view, which is not fresh until Heard.
func NewView(opts ViewOptions) *View { return &View{} }

// Apply takes an entry in and cancels the bound requests that it concerns. It may see an entry twice.
func (v *View) Apply(e Entry) {}

// Heard says that every entry up to head had been applied when it was still made, an instant of this process's clock.
func (v *View) Heard(head int64, made time.Time) {}

// Reset forgets every entry; the view is not fresh until Heard.
func (v *View) Reset() {}

// Head returns the newest position that is known to be applied.
func (v *View) Head() int64 { return 0 }

// Check refuses a principal whose session, person, API key or signing key is revoked (fault.InvalidToken), or whose
// rights have changed since (fault.TokenStale). It says nothing of freshness.
func (v *View) Check(p principal.Principal) error { return nil }

// Fresh returns fault.Unavailable when the view is older than MaxStaleness.
func (v *View) Fresh() error {
	return fault.New(fault.Unavailable, "revocations can't be checked right now")
}

// Bind returns a context that is cancelled, with the fault as its cause, when p is revoked. The returned function must
// be called when the work is done.
func (v *View) Bind(ctx context.Context, p principal.Principal) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
