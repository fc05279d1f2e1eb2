package routing

import (
	"strings"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
)

// maxPathBytes bounds a request's path as sent. Our longest is a share link of about 100 bytes.
const maxPathBytes = 8 << 10

// Canonical decodes the path of a request as it was sent (url.URL.EscapedPath) into the one form that is matched, logged
// and, encoded afresh, sent upstream. A path that two programs might read differently is refused with fault.Invalid (400)
// and never repaired: a relative or empty segment, an encoded slash, a backslash, NUL or another control character in any
// spelling, an escape that is damaged or hides a second one, bytes that are not UTF-8. So what was authorized is what the
// service gets. A slash at the end is kept: "/a/" and "/a" are two paths.
func Canonical(escaped string) (string, error) {
	if len(escaped) > maxPathBytes {
		return "", badPath("TOO_LONG", "the path is longer than 8192 bytes")
	}
	if escaped == "" || escaped[0] != '/' {
		return "", badPath("NOT_ABSOLUTE", "the path must begin with a slash")
	}
	path, err := decode(escaped)
	if err != nil {
		return "", err
	}
	if err := checkSegments(path); err != nil {
		return "", err
	}
	return path, nil
}

// decode resolves escapes once. It returns its argument itself when there are none, which is the usual case.
func decode(escaped string) (string, error) {
	first := -1
	for i := range len(escaped) {
		switch c := escaped[i]; {
		case c == '%':
			if first < 0 {
				first = i
			}
		case c <= ' ' || c >= 0x7f:
			return "", badPath("INVALID_CHARACTER", "the path has a character that must be percent-encoded")
		case c == '\\' || c == '?' || c == '#':
			return "", badPath("INVALID_CHARACTER", "the path has a character that is not allowed there")
		}
	}
	if first < 0 {
		return escaped, nil
	}
	out := make([]byte, first, len(escaped))
	copy(out, escaped)
	for i := first; i < len(escaped); i++ {
		c := escaped[i]
		if c == '%' {
			var ok bool
			if c, ok = unhex(escaped[i:]); !ok {
				return "", badPath("INVALID_ESCAPE", "the path has a damaged percent-escape")
			}
			if c == '/' || c == '\\' || c < ' ' || c == 0x7f {
				return "", badPath("INVALID_ESCAPE", "the path has an encoded slash, backslash or control character")
			}
			i += 2
		}
		out = append(out, c)
	}
	return checkDecoded(string(out))
}

// checkDecoded refuses what only shows after decoding: broken UTF-8, and escapes that were escaped themselves, which a
// service that decodes twice would take for a separator.
func checkDecoded(path string) (string, error) {
	if !utf8.ValidString(path) {
		return "", badPath("INVALID_ESCAPE", "the path is not UTF-8")
	}
	for rest := path; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return path, nil
		}
		rest = rest[i:]
		if c, ok := unhex(rest); ok && (c == '.' || c == '/' || c == '\\' || c == '%' || c < ' ' || c == 0x7f) {
			return "", badPath("INVALID_ESCAPE", "the path is percent-encoded twice")
		}
		rest = rest[1:]
	}
}

// checkSegments refuses empty segments but the last, and dot segments, also those with parameters ("..;x"), which some
// servers strip before they resolve them.
func checkSegments(path string) error {
	for rest := path[1:]; ; {
		segment, after, more := strings.Cut(rest, "/")
		if segment == "" && more {
			return badPath("EMPTY_SEGMENT", "the path has an empty segment")
		}
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return badPath("DOT_SEGMENT", "the path has a dot segment")
		}
		if !more {
			return nil
		}
		rest = after
	}
}

// unhex reads the escape that s begins with.
func unhex(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	hi, lo := nibble(s[1]), nibble(s[2])
	return hi<<4 | lo, hi < 16 && lo < 16
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	default:
		return 16
	}
}

func badPath(code, detail string) error {
	return fault.Validation(fault.Field{Field: "path", Code: code, Detail: detail})
}
