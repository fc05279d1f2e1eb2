// Package logtest is for tests of what is logged.
//
// A Text is given to a logger as its writer and read by the test, while the logger goes on: whatever runs beside a test may still
// log when the test looks. What is certain to be logged is to be waited for all the same.
package logtest

import (
	"strings"
	"sync"
)

// Text is a log that is read while it is written. The zero value is an empty one.
type Text struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write adds to the log. It does not fail.
func (t *Text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

// String is all that was logged so far.
func (t *Text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
