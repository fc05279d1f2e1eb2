package problem

import (
	"context"
	"log/slog"
)

// Scope is what a refusal needs to know of the request it answers. The edge of a service implements it and puts it in
// the context once, so that a request carries one value and not one per fact.
type Scope interface {
	RequestID() string
	Logger() *slog.Logger
}

// Shaper is a Scope that knows the Shape of its request's refusals, also of those that are written further out than the one
// who has set it: a recovered panic, above all.
type Shaper interface {
	// Shape returns nil for problem documents.
	Shape() Shape
}

type scopeKey struct{}

// WithScope returns a context that carries s.
func WithScope(ctx context.Context, s Scope) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// ScopeFrom returns the scope of the request, or nil outside one.
func ScopeFrom(ctx context.Context) Scope {
	s, _ := ctx.Value(scopeKey{}).(Scope)
	return s
}

// Logger returns the request's logger, or the process's outside a request.
func Logger(ctx context.Context) *slog.Logger {
	if s := ScopeFrom(ctx); s != nil {
		return s.Logger()
	}
	return slog.Default()
}

func requestID(ctx context.Context) string {
	if s := ScopeFrom(ctx); s != nil {
		return s.RequestID()
	}
	return ""
}
