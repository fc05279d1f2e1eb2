// Package fault holds the kinds a rule can fail with.
//
// A core says what went wrong as a value with a kind and one line for the user; package problem turns the kind into
// a status and a stable code, in one table. Anything that is not a fault is an internal error: its text never
// reaches a client.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure this is. Each kind has exactly one code in the public contract.
type Kind int

// The kinds. Internal is the zero value, so a forgotten kind fails closed as a 500.
const (
	Internal               Kind = iota
	Unauthenticated             // no credentials, or none that can be read
	InvalidToken                // an access token that is not ours, damaged or revoked
	TokenExpired                // a genuine access token past its life
	TokenStale                  // a genuine access token older than its owner's last change of rights
	InvalidCredentials          // wrong identifier or secret; never says which
	AccountDeactivated          // told only to a caller who has proved the password
	InvalidRefreshToken         // a refresh token that is not ours, spent, or of a session that has ended
	InvalidCurrentPassword      // a confirming password that does not match
	Invalid                     // input that breaks a rule; carries the fields
	UserExists                  // an identifier that is taken
	Duplicate                   // a name that is taken
	Conflict                    // the thing changed meanwhile, or its state does not allow this
	Forbidden                   // known caller, missing right
	NotFound                    // no such thing, or not for this caller
	Gone                        // it was there and never comes back
	MethodNotAllowed            // the path is known, the method is not
	PreconditionFailed          // If-Match or its like did not hold
	KeyReused                   // an Idempotency-Key that stands for another request
	RangeNotSatisfiable         // no byte of the asked range exists
	TooLarge                    // a body or a field over its limit
	HeaderTooLarge              // the header of a request over its limit
	TargetTooLong               // what a request is for, over its limit
	UnsupportedMediaType        // a content type this route does not take
	QuotaExceeded               // the owner's space is used up
	DigestMismatch              // the bytes are not the ones announced
	ChecksumMismatch            // a chunk of an upload is not the one announced; the upload goes on
	StorageFull                 // the store has no room left
	NotImplemented              // a part of HTTP that is not spoken here
	Timeout                     // the client took too long to send
	RateLimited                 // too many requests; carries RetryAfter
	Overloaded                  // this process is at its bound; carries RetryAfter
	UpstreamFailed              // a service behind us broke off or spoke nonsense
	UpstreamTimeout             // a service behind us did not answer in time
	Unavailable                 // a part we need is not there right now
)

// Field is one bad field of an Invalid fault. Field is the path the client used (`permissions[0].action`), Code a
// stable upper-case word (`REQUIRED`), Detail one sentence for a person.
type Field struct {
	Field  string `json:"field"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Error is a failure of a rule. It is immutable once made: one value must be safe to return to many callers.
type Error struct {
	Kind       Kind
	Detail     string        // one line for the user
	Fields     []Field       // for Invalid; for NotFound which of several
	RetryAfter time.Duration // for RateLimited, Overloaded, Unavailable and contention; zero means unsaid
	cause      error
}

// New makes a fault of this kind with one line for the user.
func New(kind Kind, detail string) *Error { return &Error{Kind: kind, Detail: detail} }

// Wrap makes a fault that keeps its cause for the log; the cause is never shown to the user.
func Wrap(kind Kind, detail string, cause error) *Error {
	return &Error{Kind: kind, Detail: detail, cause: cause}
}

// Validation makes an Invalid fault out of the bad fields.
func Validation(fields ...Field) *Error {
	return &Error{Kind: Invalid, Detail: "the request has invalid fields", Fields: fields}
}

// Retry makes a fault that says when to come back.
func Retry(kind Kind, detail string, after time.Duration) *Error {
	return &Error{Kind: kind, Detail: detail, RetryAfter: after}
}

// Error joins the line for the user and the cause, for logs.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Detail
	}
	return fmt.Sprintf("%s: %v", e.Detail, e.cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is(err, fault.New(kind, "")) unnecessary: two faults are the same when their kinds are.
func (e *Error) Is(target error) bool {
	k, ok := target.(kindTarget)
	return ok && Kind(k) == e.Kind
}

type kindTarget Kind

func (k kindTarget) Error() string { return "fault kind" }

// Of returns a target for errors.Is that matches every fault of this kind: errors.Is(err, fault.Of(fault.NotFound)).
func Of(kind Kind) error { return kindTarget(kind) }

// KindOf returns the kind of the outermost fault in err's chain, or Internal when there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
