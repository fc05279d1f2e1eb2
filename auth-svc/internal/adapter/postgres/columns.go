package postgres

import (
	"fmt"
	"time"
)

// The types below are how the core's values stand in columns.

// moment reads a time; NULL is the zero time.
type moment struct{ t *time.Time }

func (m moment) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*m.t = time.Time{}
	case time.Time:
		*m.t = v.UTC()
	default:
		return fmt.Errorf("a time column holds a %T", v)
	}
	return nil
}

// at writes a time.
func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// bytesOf keeps nothing as an empty column: NULL is not one.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
