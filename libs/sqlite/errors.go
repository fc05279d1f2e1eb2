package sqlite

import (
	"errors"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"cloakroom.dev/libs/fault"
)

// IsUnique reports whether err is a violation of a unique index or primary key.
func IsUnique(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) &&
		(e.Code() == lib.SQLITE_CONSTRAINT_UNIQUE || e.Code() == lib.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// isBusy reports whether another connection holds the file.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_BUSY // the low byte is the primary result code
}

// Micros is how times stand in a column: microseconds since 1970, UTC.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// Time reads a column written by Micros.
func Time(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// mapError turns what the driver says of the machine into faults; what it says of a statement stays an internal error.
func mapError(err error) error {
	var known *fault.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if errors.Is(err, errClosed) {
		return fault.Wrap(fault.Unavailable, "the database is not available", err)
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // the low byte is the primary result code
	case lib.SQLITE_FULL:
		return fault.Wrap(fault.StorageFull, "no room left in the database's storage", err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY,
		lib.SQLITE_PROTOCOL, lib.SQLITE_NOMEM, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return fault.Wrap(fault.Unavailable, "the database is not available", err)
	default:
		return err
	}
}
