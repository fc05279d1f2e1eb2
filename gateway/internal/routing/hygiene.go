package routing

import "strings"

// Hygiene knows the headers that a client must never bring to a service: those that say who the caller is, which services
// believe, and those that say where a request came from or what it asks for, which the edge writes itself. Spelling does not
// help: letter case is ignored and every byte that is neither letter nor digit counts as a hyphen, since CGI-like servers
// read X_User_Id, and some X.User.Id, as X-User-Id. The zero value knows the built-in names; it is immutable once made.
type Hygiene struct {
	exact    map[string]bool
	prefixes []string
}

// identityPrefixes begin the names that say who the caller is.
var identityPrefixes = []string{"x-user-", "x-session-", "x-roles", "x-internal-"}

// sessionMode is the one name below an identity prefix that is a client's own: with it a browser asks for cookies at login.
// In this spelling only.
const sessionMode = "X-Session-Mode"

// forwardingPrefixes begin the names that say where a request came from.
var forwardingPrefixes = []string{"x-forwarded-"}

// forwardingNames change, for one server or another, the client's address, the URL or the method.
var forwardingNames = map[string]bool{
	"forwarded": true, "x-forwarded": true, "x-real-ip": true, "x-client-ip": true, "true-client-ip": true,
	"cf-connecting-ip": true, "x-cluster-client-ip": true, "x-original-url": true, "x-original-uri": true,
	"x-original-host": true, "x-rewrite-url": true, "x-host": true, "x-http-method": true,
	"x-http-method-override": true, "x-method-override": true,
}

// NewHygiene adds names to the built-in ones. A name may end in "*" to mean all that begin so; spelling is folded as above.
func NewHygiene(extra ...string) *Hygiene {
	h := &Hygiene{exact: map[string]bool{}}
	for _, name := range extra {
		stem, open := strings.CutSuffix(name, "*")
		switch folded := foldName(stem); {
		case folded == "":
		case open:
			h.prefixes = append(h.prefixes, folded)
		default:
			h.exact[folded] = true
		}
	}
	return h
}

// Identity reports whether a header of this name says who the caller is: strip it from every client's request, on every
// route, and from the names a client lists in Connection.
func (h *Hygiene) Identity(name string) bool {
	if hasFoldedPrefix(name, identityPrefixes) && !strings.EqualFold(name, sessionMode) {
		return true
	}
	return hasFoldedPrefix(name, h.prefixes) || hasFolded(name, h.exact)
}

// Forwarding reports whether a header of this name says where a request came from or what it really asks for. The edge
// strips them and writes its own X-Forwarded-For, -Host, -Proto and -Prefix.
func (h *Hygiene) Forwarding(name string) bool {
	return hasFoldedPrefix(name, forwardingPrefixes) || hasFolded(name, forwardingNames)
}

// foldedMax is the longest name that folds on the stack; longer ones are rare and cost an allocation.
const foldedMax = 64

// hasFolded and hasFoldedPrefix run for every header of every request, so they allocate nothing.
func hasFolded(name string, names map[string]bool) bool {
	if len(names) == 0 {
		return false
	}
	if len(name) > foldedMax {
		return names[foldName(name)]
	}
	var buf [foldedMax]byte
	for i := range len(name) {
		buf[i] = foldByte(name[i])
	}
	return names[string(buf[:len(name)])]
}

func hasFoldedPrefix(name string, prefixes []string) bool {
next:
	for _, p := range prefixes {
		if len(name) < len(p) {
			continue
		}
		for i := range len(p) {
			if foldByte(name[i]) != p[i] {
				continue next
			}
		}
		return true
	}
	return false
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
