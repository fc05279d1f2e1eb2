package token

import (
	"context"
	"net/http"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/problem"
)

var errNoBearer = fault.New(fault.Unauthenticated, "a bearer token is required")

// Bearer returns the one bearer token of a request's Authorization header. It returns fault.Unauthenticated when there
// is none, and fault.Invalid when there are several headers.
func Bearer(r *http.Request) (string, error) {
	headers := r.Header["Authorization"]
	switch len(headers) {
	case 0:
		return "", errNoBearer
	case 1:
		scheme, raw, _ := strings.Cut(headers[0], " ")
		if !strings.EqualFold(scheme, "Bearer") || raw == "" || strings.ContainsAny(raw, " \t,") {
			return "", errNoBearer
		}
		return raw, nil
	default:
		return "", fault.Validation(fault.Field{Field: "Authorization", Code: "DUPLICATE", Detail: "send this header once"})
	}
}

// Require lets only requests with a live token through, with their principal in the context, and cuts them when it is
// revoked.
func (v *Verifier) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := Bearer(r)
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		p, err := v.Verify(r.Context(), raw)
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		v.view.Guard(w, r, p, next)
	})
}

func (v *View) bind(ctx context.Context, p *principal.Principal, sever func()) (context.Context, *binding) {
	ctx, cancel := context.WithCancelCause(ctx)
	b := newBinding(p, cancel)
	b.sever = sever
	v.bound.add(b)
	// An entry that was applied between the caller's check and add has found nothing to cut.
	if err := v.set.check(p); err != nil {
		cancel(err)
	}
	return ctx, b
}

// Guard serves an authenticated request through next: with p in its context, which is cancelled with the fault as its
// cause when p is revoked. A handler that hangs in a read or a write then, on a slow upload or download, is cut loose
// shortly after: its connection is closed, since nobody knows how much of the request or the answer has passed.
func (v *View) Guard(w http.ResponseWriter, r *http.Request, p principal.Principal, next http.Handler) {
	control := http.NewResponseController(w)
	sever := func() {
		past := time.Unix(1, 0)
		_ = control.SetReadDeadline(past) // neither can fail on a server's own writer, and another has no connection
		_ = control.SetWriteDeadline(past)
	}
	ctx, b := v.bind(principal.With(r.Context(), p), &p, sever)
	finished := false
	defer func() {
		if severed := v.bound.remove(b); severed && finished {
			panic(http.ErrAbortHandler) // the connection must not serve another request
		}
	}()
	next.ServeHTTP(w, r.WithContext(ctx))
	finished = true
}
