package httpapi

import (
	"net/http"
	"strings"

	"cloakroom.dev/libs/fault"
)

// maxKeyBytes bounds an Idempotency-Key. A UUID has 36.
const maxKeyBytes = 255

// idempotencyKey reads Idempotency-Key: a string in quotes, as draft-ietf-httpapi-idempotency-key-header writes it, or
// the same without quotes, as most clients do. Empty means that there is none.
func idempotencyKey(h http.Header, bad *fault.Bad) string {
	const name = "Idempotency-Key"
	lines := h.Values(name)
	switch {
	case len(lines) == 0:
		return ""
	case len(lines) > 1:
		bad.Refuse(name, "DUPLICATE", "give it once")
		return ""
	}
	key := strings.Trim(lines[0], " \t")
	if inner, quoted := strings.CutPrefix(key, `"`); quoted {
		if inner, quoted = strings.CutSuffix(inner, `"`); !quoted {
			bad.Refuse(name, "INVALID", "the closing quote is missing")
			return ""
		}
		key = inner
	}
	plain := func(r rune) bool { return r > ' ' && r < 0x7f && r != '"' && r != '\\' && r != ',' && r != ';' }
	if key == "" || len(key) > maxKeyBytes || strings.ContainsFunc(key, func(r rune) bool { return !plain(r) }) {
		bad.Refuse(name, "INVALID", "must be 1 to 255 visible ASCII characters other than quotes, backslash, comma and semicolon: use a new UUID for each request")
	}
	return key
}
