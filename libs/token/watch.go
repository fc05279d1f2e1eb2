package token

import (
	"context"

	"cloakroom.dev/libs/principal"
)

// Watched is a running request that is cut when its caller is revoked.
type Watched struct {
	view    *View
	binding *binding
}

// Watch is Guard in parts, for handlers that have a context of their own to cancel: cancel is called with the fault as
// its cause when p is revoked, and sever a moment later, unless End was called before. sever ends the reads and writes of
// the request's connection and must not block.
func (v *View) Watch(p *principal.Principal, cancel context.CancelCauseFunc, sever func()) Watched {
	b := newBinding(p, cancel)
	b.sever = sever
	v.bound.add(b)
	// An entry that was applied between the caller's check and add has found nothing to cut.
	if err := v.set.check(p); err != nil {
		cancel(err)
	}
	return Watched{v, b}
}

// End must be called when the work is done; nothing is called for it afterwards. It reports whether the connection was
// severed and must not serve another request.
func (w Watched) End() (severed bool) { return w.view.bound.remove(w.binding) }
