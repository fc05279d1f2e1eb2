package token

import (
	"context"

	"cloakroom.dev/libs/principal"
)

// Bind returns a context that is cancelled, with the fault as its cause, when p is revoked. The returned function must
// be called when the work is done.
func (v *View) Bind(ctx context.Context, p principal.Principal) (context.Context, context.CancelFunc) {
	ctx, b := v.bind(ctx, &p, nil)
	return ctx, func() { v.bound.remove(b) }
}
