package routing

import "strings"

// Hygiene knows the headers that a client must never bring to a service: those that say who the caller is, which services
// believe, and those that say where a request came from or what it asks for, which the edge writes itself. Spelling does not
// help: letter case is ignored and every byte that is neither letter nor digit counts as a hyphen, since CGI-like servers
// read X_User_Id, and some X.User.Id, as X-User-Id. The zero value knows the built-in names; it is immutable once made.
type Hygiene struct{ extra names }

// identityNames say who the caller is.
var identityNames = newNames("x-user-*", "x-session-*", "x-roles*", "x-internal-*")

// sessionMode is the one name among them that is a client's own: with it a browser asks for cookies at login. In this
// spelling only.
const sessionMode = "X-Session-Mode"

// forwardingNames change, for one server or another, the client's address, the URL or the method.
var forwardingNames = newNames("forwarded", "x-forwarded", "x-forwarded-*", "x-real-ip", "x-client-ip", "true-client-ip",
	"cf-connecting-ip", "x-cluster-client-ip", "x-original-url", "x-original-uri", "x-original-host", "x-rewrite-url", "x-host",
	"x-http-method", "x-http-method-override", "x-method-override")

// NewHygiene adds names to the built-in ones. A name may end in "*" to mean all that begin so; spelling is folded as above.
func NewHygiene(extra ...string) *Hygiene { return &Hygiene{newNames(extra...)} }

// Identity reports whether a header of this name says who the caller is: strip it from every client's request, on every
// route, and from the names a client lists in Connection.
func (h *Hygiene) Identity(name string) bool {
	return identityNames.has(name) && !strings.EqualFold(name, sessionMode) || h.extra.has(name)
}

// Forwarding reports whether a header of this name says where a request came from or what it really asks for. The edge
// strips them and writes its own X-Forwarded-For, -Host, -Proto and -Prefix.
func (h *Hygiene) Forwarding(name string) bool { return forwardingNames.has(name) }

// names is a set of folded header names and beginnings of names. It is asked about every header of every request, so most
// are told apart by their first byte and length, and nothing is allocated.
type names struct {
	exact    map[string]bool
	prefixes []string
	lengths  uint64    // bit n: some exact name has n bytes
	initials [256]bool // by unfolded byte
}

func newNames(list ...string) names {
	n := names{exact: map[string]bool{}}
	for _, name := range list {
		stem, open := strings.CutSuffix(name, "*")
		folded := foldName(stem)
		if folded == "" || len(folded) > maxFolded {
			continue // no such header gets past the server's own limits
		}
		if open {
			n.prefixes = append(n.prefixes, folded)
		} else {
			n.exact[folded] = true
			n.lengths |= 1 << (len(folded) % 64)
		}
		for c := range 256 {
			if foldByte(byte(c)) == folded[0] {
				n.initials[c] = true
			}
		}
	}
	return n
}

// maxFolded is the longest name that is folded: the longest a resource can hold.
const maxFolded = 128

func (n *names) has(name string) bool {
	if name == "" || !n.initials[name[0]] {
		return false
	}
	for _, p := range n.prefixes {
		if hasFoldedPrefix(name, p) {
			return true
		}
	}
	if n.lengths&(1<<(len(name)%64)) == 0 || len(name) > maxFolded {
		return false
	}
	var folded [maxFolded]byte
	for i := range len(name) {
		folded[i] = foldByte(name[i])
	}
	return n.exact[string(folded[:len(name)])]
}

func hasFoldedPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if foldByte(name[i]) != prefix[i] {
			return false
		}
	}
	return true
}

// foldName spells a name the one way: lower case, hyphens.
func foldName(name string) string {
	b := []byte(name)
	for i, c := range b {
		b[i] = foldByte(c)
	}
	return string(b)
}

func foldByte(c byte) byte {
	switch {
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		return c
	case c >= 'A' && c <= 'Z':
		return c | 0x20
	default:
		return '-'
	}
}
