package files

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
)

const (
	maxNameBytes     = 255
	maxMetadataKeys  = 64
	maxMetadataKey   = 128
	maxMetadataValue = 1024
	maxMetadataBytes = 8 << 10 // of all keys and values: it counts in no quota
)

// checkName brings a name into normal form C and says what is wrong with it. A name is for showing only: separators,
// device names, dots and invisible characters are its owner's business; what would cut or forge a header, a log line or
// a terminal is refused.
func (s *Service) checkName(raw string) (string, []fault.Field) {
	bad := func(code, detail string) (string, []fault.Field) {
		return "", []fault.Field{{Field: "name", Code: code, Detail: detail}}
	}
	if !utf8.ValidString(raw) {
		return bad("INVALID_UTF8", "must be valid UTF-8")
	}
	if len(raw) > 4*maxNameBytes { // before any work on it; no normal form shrinks to a quarter
		return bad("TOO_LONG", "must be at most 255 bytes")
	}
	name := s.nfc(raw)
	switch {
	case strings.TrimSpace(name) == "":
		return bad("REQUIRED", "must not be empty")
	case name == "." || name == "..":
		return bad("INVALID", "must not be a dot or two dots")
	case len(name) > maxNameBytes:
		return bad("TOO_LONG", "must be at most 255 bytes")
	case strings.ContainsFunc(name, unicode.IsControl):
		return bad("INVALID", "must not contain control characters")
	}
	return name, nil
}

// fold is how searches and sorts see a name.
func (s *Service) fold(name string) string { return s.nfc(strings.ToLower(name)) }

// checkMetadata says what is wrong with metadata. Nil becomes empty.
func checkMetadata(m Metadata) (Metadata, []fault.Field) {
	if len(m) > maxMetadataKeys {
		return nil, []fault.Field{{Field: "metadata", Code: "TOO_MANY", Detail: "must have at most 64 keys"}}
	}
	out := make(Metadata, len(m))
	var bad []fault.Field
	total := 0
	for _, key := range slices.Sorted(maps.Keys(m)) {
		value := m[key]
		total += len(key) + len(value)
		if key == "" || len(key) > maxMetadataKey || !plainText(key, false) {
			bad = append(bad, fault.Field{Field: "metadata", Code: "INVALID_KEY", Detail: "keys must be 1 to 128 bytes of plain UTF-8"})
			continue
		}
		if len(value) > maxMetadataValue || !plainText(value, true) {
			bad = append(bad, fault.Field{
				Field: fmt.Sprintf("metadata[%q]", key), Code: "INVALID", Detail: "must be at most 1024 bytes of plain UTF-8",
			})
			continue
		}
		out[key] = value
	}
	if total > maxMetadataBytes && len(bad) == 0 {
		bad = []fault.Field{{Field: "metadata", Code: "TOO_LONG", Detail: "keys and values must have at most 8192 bytes together"}}
	}
	return out, bad
}

// plainText reports whether text is UTF-8 without control characters; lines says that tab and newline may be in it.
func plainText(text string, lines bool) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && (!lines || r != '\n' && r != '\t')
	})
}

// checkExpiry refuses a moment that has passed. Zero is never.
func checkExpiry(at, now time.Time) (time.Time, []fault.Field) {
	if at.IsZero() {
		return at, nil
	}
	if !at.After(now) {
		return at, []fault.Field{{Field: "expires_at", Code: "INVALID", Detail: "must be in the future"}}
	}
	return at.UTC().Truncate(time.Microsecond), nil
}
