package field

import (
	"net/http"
	"strings"
	"time"
)

// Version is what conditions are held against: the validators of the bytes that would be sent now.
type Version struct {
	ETag     string    // strong, with its quotes
	Modified time.Time // of the bytes, not of what is said about them
}

// Outcome is what a request's conditions come to.
type Outcome int

// The outcomes.
const (
	Proceed     Outcome = iota
	NotModified         // 304: the client has these bytes
	Failed              // 412: the client wants other bytes than these
)

// Evaluate holds the conditions of a GET or HEAD against v, in the order RFC 9110 section 13.2.2 gives them.
func Evaluate(h http.Header, v Version) Outcome {
	if match := ParseETags(h.Values("If-Match")); match.Given {
		if !match.MatchStrong(v.ETag) {
			return Failed
		}
	} else if since, ok := date(h, "If-Unmodified-Since"); ok && v.seconds().After(since) {
		return Failed
	}
	if none := ParseETags(h.Values("If-None-Match")); none.Given {
		if none.MatchWeak(v.ETag) {
			return NotModified
		}
	} else if since, ok := date(h, "If-Modified-Since"); ok && !v.seconds().After(since) {
		return NotModified
	}
	return Proceed
}

// strongAfter is how old a date must be to stand for exactly one version: two replaces may share a second.
const strongAfter = 2 * time.Second

// RangeHolds reports whether a Range may be honoured: If-Range is absent, or names exactly these bytes.
func RangeHolds(h http.Header, v Version, now time.Time) bool {
	lines := h.Values("If-Range")
	switch {
	case len(lines) == 0:
		return true
	case len(lines) > 1:
		return false
	}
	value := strings.TrimSpace(lines[0])
	if tag, rest, ok := cutETag(value); ok {
		return rest == "" && tag == v.ETag && !strings.HasPrefix(tag, "W/")
	}
	at, err := http.ParseTime(value)
	return err == nil && at.Equal(v.seconds()) && now.Sub(v.Modified) >= strongAfter
}

// seconds is Modified in the resolution of an HTTP date.
func (v Version) seconds() time.Time { return v.Modified.UTC().Truncate(time.Second) }

func date(h http.Header, name string) (time.Time, bool) {
	lines := h.Values(name)
	if len(lines) != 1 {
		return time.Time{}, false
	}
	t, err := http.ParseTime(lines[0])
	return t, err == nil
}
