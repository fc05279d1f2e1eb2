package identity

import "time"

// Kind says what a log entry is about.
type Kind string

// The kinds of the revocation log.
const (
	KindSession     Kind = "session"
	KindUserEpoch   Kind = "user_epoch"
	KindUserDeleted Kind = "user_deleted"
	KindSigningKey  Kind = "signing_key"
	KindAPIKey      Kind = "api_key"
	KindRoleEpoch   Kind = "role_epoch"
)

// Revocation is one entry of the log: from At on, tokens of that session, user, signing key, API key or role no longer hold
// (for user_epoch and role_epoch: those that carry a smaller epoch than Seq). Until is when the last of them has expired.
type Revocation struct {
	Seq   int64
	Kind  Kind
	ID    string
	At    time.Time
	Until time.Time

	// Status is the person's when the entry was read, of a user_epoch; empty for other kinds and for whoever is gone. It
	// is not kept: a later status has an entry of its own behind this one.
	Status Status
}

// EventKind says what a follower is told.
type EventKind int

// The kinds of events.
const (
	EventEntries   EventKind = iota // new entries, in order
	EventHeartbeat                  // everything up to Seq has been sent on this stream
	EventResumed                    // the first: the follower goes on from Seq, the entry it has named
	EventReset                      // the follower was ahead of the log: it drops its set; everything live follows
)

// Event is what Follow sends.
type Event struct {
	Kind    EventKind
	Entries []Revocation // EventEntries
	Seq     int64        // head of the log, for heartbeats and resets; what the follower goes on from
	MadeAt  time.Time    // EventHeartbeat: when the head was read, with a monotonic reading; freshness counts from here
}

// Acks says how far the followers are.
type Acks struct {
	Acked int           // followers that have applied the entry
	Of    int           // followers connected
	Lag   time.Duration // from the call until the last of them had
}
