package webhook

import (
	"context"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

// Endpoint is somebody who wants to hear of events.
type Endpoint struct {
	Name        string
	Kinds       []files.EventKind // none: all
	Concurrency int               // deliveries under way at once; default 4
}

// State is how far an endpoint has come.
type State struct {
	Endpoint  string
	Position  int64     // events up to here have been taken
	StoppedAt time.Time // when it said that it is gone for good; zero: it did not
}

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	Endpoint string
	ID       string // the same in every attempt, so that the receiver can tell a repetition
	Event    files.Event
	Attempts int
	NextAt   time.Time // zero: not tried yet, due at once
	ParkedAt time.Time // when it was given up; zero: it was not
	Result   Result    // of the last attempt
	Status   int       // of the last answer, if there was one
}

// Backlog is what an endpoint has before it.
type Backlog struct {
	Pending int64     // waiting, parked ones left out
	Parked  int64     // given up
	Oldest  time.Time // when the oldest pending event happened; zero: there is none
	Latest  time.Time // the latest NextAt of a pending one; zero: all are due at once
}

// Store keeps positions and deliveries beside the outbox, in one database. A failure that is no fault of a rule is
// fault.Unavailable or fault.StorageFull, and leaves nothing behind.
type Store interface {
	// Write runs fn in a transaction and returns once it is durable. fn may run more than once.
	Write(ctx context.Context, fn func(tx Tx) error) error
	// Read runs fn on one consistent snapshot.
	Read(ctx context.Context, fn func(tx ReadTx) error) error
}

// Tx is a transaction.
type Tx interface {
	ReadTx
	StateWriter
	DeliveryWriter
}

// ReadTx is the reading half of a transaction.
type ReadTx interface {
	Outbox
	Subjects
	StateReader
	DeliveryReader
}

// Outbox is what has happened. The files core writes it.
type Outbox interface {
	// EventsAfter lists at most limit events behind a position, in the order of their commits.
	EventsAfter(ctx context.Context, seq int64, limit int) ([]files.Event, error)
	// EventRange is the position of the oldest event that is kept and of the newest there ever was.
	EventRange(ctx context.Context) (first, last int64, err error)
}

// Subjects is what events are about.
type Subjects interface {
	// File finds a file, in the trash or not. It returns fault.NotFound when there is none of this id.
	File(ctx context.Context, id files.FileID) (files.File, error)
	// Owner finds an account; one that is not there is returned empty.
	Owner(ctx context.Context, id files.OwnerID) (files.Owner, error)
}

// StateReader finds endpoints.
type StateReader interface {
	// WebhookState finds an endpoint's state. It returns fault.NotFound when there is none.
	WebhookState(ctx context.Context, endpoint string) (State, error)
	// WebhookStates lists all, by name.
	WebhookStates(ctx context.Context) ([]State, error)
}

// StateWriter changes endpoints.
type StateWriter interface {
	// SaveWebhookState writes an endpoint's state, new or not.
	SaveWebhookState(ctx context.Context, s State) error
	// DeleteWebhook removes an endpoint with its deliveries.
	DeleteWebhook(ctx context.Context, endpoint string) error
}

// DeliveryReader finds deliveries.
type DeliveryReader interface {
	// FreshDeliveries lists at most limit deliveries that have not been tried, in the order of commits.
	FreshDeliveries(ctx context.Context, endpoint string, limit int) ([]Delivery, error)
	// DueDeliveries lists at most limit deliveries that have failed and are due at now, the longest due first.
	DueDeliveries(ctx context.Context, endpoint string, now time.Time, limit int) ([]Delivery, error)
	// ListDeliveries lists at most limit deliveries in the order of commits, only pending or only parked ones.
	ListDeliveries(ctx context.Context, endpoint string, parked bool, limit int) ([]Delivery, error)
	// Delivery finds one. It returns fault.NotFound when there is none.
	Delivery(ctx context.Context, endpoint string, seq int64) (Delivery, error)
	// Backlog counts what an endpoint has before it.
	Backlog(ctx context.Context, endpoint string) (Backlog, error)
}

// DeliveryWriter changes deliveries.
type DeliveryWriter interface {
	// InsertDelivery adds a delivery. It returns fault.Conflict when the endpoint has one of this event.
	InsertDelivery(ctx context.Context, d Delivery) error
	// UpdateDelivery writes attempts, times and results. It returns fault.NotFound when there is none.
	UpdateDelivery(ctx context.Context, d Delivery) error
	// DeleteDelivery removes one; it may be gone already.
	DeleteDelivery(ctx context.Context, endpoint string, seq int64) error
	// TrimParked removes an endpoint's parked deliveries from before a moment, and the oldest above keep, and returns how many.
	TrimParked(ctx context.Context, endpoint string, before time.Time, keep int) (int64, error)
	// ClampDeliveries brings every NextAt that lies behind latest to latest.
	ClampDeliveries(ctx context.Context, endpoint string, latest time.Time) error
}

// Result is how an attempt ended: a closed set, for metrics.
type Result string

// The results.
const (
	Delivered   Result = "delivered"   // 2xx
	Refused     Result = "refused"     // any other answer, redirects among them
	Gone        Result = "gone"        // 410: the endpoint wants nothing any more
	TimedOut    Result = "timeout"     // no answer in time
	Unreachable Result = "unreachable" // no connection, or one that broke
	Blocked     Result = "blocked"     // the address is not one that may be called
	Unsigned    Result = "unsigned"    // the secret can't be read, so nothing was sent
)

// Results lists all results.
var Results = []Result{Delivered, Refused, Gone, TimedOut, Unreachable, Blocked, Unsigned}

// Outcome is how an attempt ended.
type Outcome struct {
	Result     Result
	Status     int
	RetryAfter time.Duration // as the receiver wants it; zero: it did not say
}

// Message is what is sent.
type Message struct {
	ID    string
	Event files.Event
	File  *files.File // as it is now; nil when there is none any more
}

// Sender makes one attempt. It returns in bounded time, whatever the receiver does, and reads a bounded part of its answer.
type Sender interface {
	Send(ctx context.Context, endpoint string, m Message) Outcome
}

// Meter hears what happens, for metrics. Its methods return at once.
type Meter interface {
	// Attempted is told of each attempt.
	Attempted(endpoint string, r Result, took time.Duration)
	// Stands is told every few seconds where an endpoint stands; behind is how many events of the outbox it has not looked at.
	Stands(endpoint string, b Backlog, behind int64, open, stopped bool)
	// Parked is told of each delivery that is given up.
	Parked(endpoint string)
	// Lost is told how many events were trimmed from the outbox, or parked deliveries from the table, before they were delivered.
	Lost(endpoint string, n int64)
}
