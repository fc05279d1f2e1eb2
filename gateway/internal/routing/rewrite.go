package routing

import "strings"

// Rewrite changes where a request goes upstream. At most one of FullPath and ReplacePrefix is in force.
type Rewrite struct {
	Hostname      string // Host header for the upstream; empty: the upstream's own
	FullPath      string // replaces the whole path; empty: not
	ReplacePrefix bool   // the part that the match claimed becomes Prefix
	Prefix        string // "/v1", or "/" to drop the claimed part
}

// Apply returns the path for the upstream, and the outside prefix that was replaced (for X-Forwarded-Prefix, no slash at
// its end), which is empty when the upstream sees the path as the client does.
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
	return upstream, outside
}
