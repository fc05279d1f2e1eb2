package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"cloakroom.dev/libs/fault"
)

// retryAfter is how long a failover or restart is given before clients come back; contention is over sooner, but the
// header knows only seconds.
const retryAfter = time.Second

var errBusy = fault.Retry(fault.Overloaded, "all connections to the database are busy", retryAfter)

// SQLSTATEs by name; classes are their first two digits.
const (
	codeUnique          = "23505"
	codeReadOnly        = "25006"
	codeSerialization   = "40001"
	codeDeadlock        = "40P01"
	codeLockTimeout     = "55P03"
	codeCancelled       = "57014"
	codeDiskFull        = "53100"
	codeChangedPlan     = "0A000"
	codeNoStatement     = "26000"
	codeIdleTransaction = "25P03"

	classConnection   = "08"
	classResources    = "53"
	classIntervention = "57" // shut down, crashed, starting up
	classSystem       = "58"
	classCorrupt      = "XX"
)

// IsUnique reports whether err is a violation of a unique index or primary key.
func IsUnique(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == codeUnique
}

// Again makes an error of fn that has InTx run the transaction once more: another transaction has won, and this one would
// now see what it did. It keeps being err for everybody else.
func Again(err error) error { return again{err} }

type again struct{ error }

func (e again) Unwrap() error { return e.error }

// notCommitted marks errors from before the commit: running the transaction again does nothing twice.
type notCommitted struct{ error }

func (e notCommitted) Unwrap() error { return e.error }

// unreachable marks a failure to connect. It is not repeated at once: connecting has taken its time already.
type unreachable struct{ error }

func (e unreachable) Unwrap() error { return e.error }

// isRepeatable reports whether the transaction can be run again with a chance to succeed, and without doing anything twice.
func isRepeatable(err error) bool {
	if !errors.As(err, new(notCommitted)) {
		return isCode(err, codeSerialization, codeDeadlock) // a commit that the server itself refused
	}
	var e *pgconn.PgError
	switch {
	case errors.As(err, new(again)):
		return true
	case errors.As(err, &e):
		return isCode(err, codeSerialization, codeDeadlock, codeChangedPlan, codeNoStatement) ||
			e.Code[:2] == classIntervention && e.Code != codeCancelled || e.Code[:2] == classConnection
	default:
		return isBroken(err)
	}
}

func isCode(err error, codes ...string) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

func isReadOnly(err error) bool { return isCode(err, codeReadOnly) }

// isBroken reports whether the connection, rather than a statement, has failed.
func isBroken(err error) bool {
	var known *fault.Error
	if errors.As(err, &known) {
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, new(net.Error)) || errors.As(err, new(*net.OpError)) || errors.As(err, new(*pgconn.ConnectError)) ||
		pgconn.SafeToRetry(err)
}

// mapError turns what the database says of itself into faults; what it says of a statement stays an internal error.
func mapError(err error) error {
	err = unmark(err)
	var known *fault.Error
	var e *pgconn.PgError
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.As(err, &e):
		return mapCode(e.Code, err)
	case isBroken(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, puddle.ErrClosedPool):
		return unavailable(err)
	default:
		return err
	}
}

func mapCode(code string, err error) error {
	switch code {
	case codeSerialization, codeDeadlock, codeLockTimeout:
		return withRetry(fault.Conflict, "somebody else is changing the same thing", err)
	case codeDiskFull:
		return fault.Wrap(fault.StorageFull, "no room left in the database's storage", err)
	case codeCancelled, codeReadOnly, codeIdleTransaction:
		return unavailable(err)
	}
	switch code[:2] {
	case classConnection, classResources, classIntervention, classSystem, classCorrupt:
		return unavailable(err)
	default:
		return err
	}
}

func unavailable(err error) error {
	return withRetry(fault.Unavailable, "the database is not available", err)
}

func withRetry(kind fault.Kind, detail string, cause error) error {
	f := fault.Wrap(kind, detail, cause)
	f.RetryAfter = retryAfter
	return f
}

// unmark takes off the marks that only this package reads, so that callers get back the very error their fn returned.
func unmark(err error) error {
	for {
		switch e := err.(type) { //nolint:errorlint // the marks are outermost by construction
		case notCommitted:
			err = e.error
		case unreachable:
			err = e.error
		case again:
			err = e.error
		default:
			return err
		}
	}
}
