// Package resource turns configuration objects into an immutable Snapshot that a service can trust.
//
// Flow: a Source (package resource/dir for a folder of YAML) decodes objects; Validator gives each the verdict that
// `kubectl apply` would give, since it is the API server's own library working on the CRDs generated from the same Go
// types; what passed becomes a Snapshot, what didn't keeps its last accepted version. A service compiles the Snapshot,
// swaps it in while requests run, and says with Report how that went.
//
// Promises: a Snapshot never changes; one bad object never harms another; an object is never half applied.
package resource

import (
	"context"

	"cloakroom.dev/libs/api/v1alpha1"
)

// Source is where resources come from and where their status goes.
type Source interface {
	// Load reads everything now and returns the snapshot to start from. It fails when there is nothing to read.
	Load(ctx context.Context) (*Snapshot, error)

	// Watch calls changed, one call at a time, whenever the snapshot differs from the one this caller saw last, until ctx
	// ends; then it returns nil.
	Watch(ctx context.Context, changed func(*Snapshot)) error

	// Report says how the service fares with objects: their ResolvedRefs and Programmed conditions. Generations, times and
	// Ready are filled in. Objects nobody reports on stay Programmed Unknown.
	Report(ctx context.Context, statuses []Status) error
}

// Object is any of the kinds in v1alpha1.
type Object = v1alpha1.Object
