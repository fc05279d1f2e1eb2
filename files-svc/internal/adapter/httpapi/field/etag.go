package field

import "strings"

// ETags is the value of If-Match or If-None-Match: a list of entity tags, or any.
type ETags struct {
	Given bool     // the field was there
	Any   bool     // it was *
	Tags  []string // opaque parts with their quotes; weak ones keep their W/
}

// maxETags bounds a list; a client has no use for more, and each is compared.
const maxETags = 64

// ParseETags reads the lines of the field. It is lenient only in the harmless direction: from the first thing that is
// no entity tag on, the list counts as ended, and so matches less.
func ParseETags(lines []string) ETags {
	if len(lines) == 0 {
		return ETags{}
	}
	out := ETags{Given: true}
	rest := strings.TrimSpace(strings.Join(lines, ","))
	if rest == "*" {
		out.Any = true
		return out
	}
	for len(out.Tags) < maxETags {
		rest = strings.TrimLeft(rest, " \t,")
		tag, after, ok := cutETag(rest)
		if !ok {
			break
		}
		out.Tags, rest = append(out.Tags, tag), after
	}
	return out
}

// MatchStrong reports whether etag is in the list by strong comparison, as If-Match wants.
func (e ETags) MatchStrong(etag string) bool {
	if e.Any {
		return true
	}
	for _, t := range e.Tags {
		if t == etag && !strings.HasPrefix(t, "W/") {
			return true
		}
	}
	return false
}

// MatchWeak reports whether etag is in the list by weak comparison, as If-None-Match wants.
func (e ETags) MatchWeak(etag string) bool {
	if e.Any {
		return true
	}
	for _, t := range e.Tags {
		if strings.TrimPrefix(t, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// cutETag takes one entity tag off the front of s.
func cutETag(s string) (tag, rest string, ok bool) {
	open := 0
	if strings.HasPrefix(s, "W/") {
		open = 2
	}
	if len(s) <= open || s[open] != '"' {
		return "", s, false
	}
	for i := open + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[:i+1], s[i+1:], true
		case c < 0x21 || c == 0x7f:
			return "", s, false
		}
	}
	return "", s, false
}
