package routing

import "strings"

// Rewrite changes where a request goes upstream. At most one of FullPath and ReplacePrefix is in force.
type Rewrite struct {
	Hostname      string // Host header for the upstream; empty: the upstream's own
	FullPath      string // replaces the whole path; empty: not
	ReplacePrefix bool   // the part that the match claimed becomes Prefix
	Prefix        string // "/v1", or "/" to drop the claimed part
}

// Apply returns the path for the upstream, and for X-Forwarded-Prefix the outside prefix that was replaced, without what both
// end in: what a client reaches at /a/x and the service has at /b/x is below /a outside, whichever x the rule is about. It is "/" when only the upstream has a prefix, and empty when the upstream sees the path as the client does.
func (w Rewrite) Apply(d Decision, path string) (upstream, outside string) {
	switch {
	case w.FullPath != "":
		return w.FullPath, ""
	case !w.ReplacePrefix:
		return path, ""
	}
	outside = strings.TrimSuffix(d.Prefix, "/")
	rest := strings.TrimPrefix(path, outside) // "" or begins with a slash: prefixes match whole segments
	upstream = strings.TrimSuffix(w.Prefix, "/") + rest
	if upstream == "" {
		upstream = "/"
	}
	return upstream, differing(outside, strings.TrimSuffix(w.Prefix, "/"))
}

// differing is the outside prefix without the segments at its end that the inside one ends in as well.
func differing(outside, inside string) string {
	if outside == inside {
		return ""
	}
	for outside != "" && outside[strings.LastIndexByte(outside, '/'):] == inside[max(0, strings.LastIndexByte(inside, '/')):] {
		outside, inside = outside[:strings.LastIndexByte(outside, '/')], inside[:strings.LastIndexByte(inside, '/')]
	}
	if outside == "" {
		return "/"
	}
	return outside
}
