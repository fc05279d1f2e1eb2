package identity

import "context"

type operatorKey struct{}

// AsOperator returns a context whose calls come from the command line on the service's own machine. Who can read the
// store and its keys needs no permission to use them; everything is written to the audit trail all the same. Only the
// command line calls it: nothing that arrives over a network may get such a context.
func AsOperator(ctx context.Context) context.Context {
	return context.WithValue(ctx, operatorKey{}, true)
}

func isOperator(ctx context.Context) bool { return ctx.Value(operatorKey{}) != nil }

// actorOperator is the name of the command line in the audit trail.
const actorOperator = "operator"
