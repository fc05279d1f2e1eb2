package routing

import (
	"iter"
	"slices"
	"strings"
)

// maxHostBytes is the longest name DNS knows; a longer Host matches only rules for every host.
const maxHostBytes = 253

// Table is every rule that is served, arranged for matching. It is immutable: a change of configuration is a new Table.
type Table struct {
	exact    map[string]*hostTable // by name
	wildcard map[string]*hostTable // by what follows the star: ".example.com"
	every    *hostTable
	hygiene  *Hygiene
	rules    []*Rule
	policies []*TokenPolicy
	digest   string
	kept     good // for the next Compile
}

// Hygiene returns the headers no client may bring, the claim headers of every TokenPolicy among them.
func (t *Table) Hygiene() *Hygiene { return t.hygiene }

// Rules returns the rules in the order of their Routes' names. Do not change them.
func (t *Table) Rules() []*Rule { return t.rules }

// TokenPolicies returns every policy a rule may name, by name, so that the edge can make one verifier each.
func (t *Table) TokenPolicies() []*TokenPolicy { return t.policies }

// Digest names the snapshot the table was made of.
func (t *Table) Digest() string { return t.digest }

// Match finds the rule for a request. Precedence is HTTPRoute's: host (exact, then the longest wildcard, then none), path
// (exact, then the longest prefix, then pattern), method named, more headers, more query parameters, older Route, name,
// place. It costs a walk over the path's segments and allocates nothing unless a candidate asks for query parameters.
func (t *Table) Match(r *Request) Decision {
	q := query{Request: r}
	other := false
	for c := range t.candidates(r) {
		switch m, _ := c.check(&q); m {
		case missNothing:
			return Decision{Outcome: Matched, Rule: c.rule, Prefix: c.claimed(r.Path)}
		case missMethod:
			other = true
		}
	}
	if other {
		return Decision{Outcome: MethodNotAllowed, Allow: t.allow(&q)}
	}
	return Decision{Outcome: NotFound}
}

// Nearest returns the rule that claims this host and path before any other, whatever else it asks for, or nil: how a request
// that matches nothing is refused is what its Route says. The path may be one that no request can have.
func (t *Table) Nearest(host, path string) *Rule {
	for c := range t.candidates(&Request{Host: host, Path: path}) {
		return c.rule
	}
	return nil
}

// claimed is the part of the path the match is about.
func (c *claim) claimed(path string) string {
	if c.path.kind == pathPrefix {
		return c.path.value
	}
	return path
}

// allow lists the methods with which this request would have matched.
func (t *Table) allow(q *query) string {
	var methods []string
	for c := range t.candidates(q.Request) {
		if m, _ := c.check(q); m == missMethod && !slices.Contains(methods, c.method) {
			methods = append(methods, c.method)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// candidates yields the claims whose host and path match, the winner first.
func (t *Table) candidates(r *Request) iter.Seq[*claim] {
	return func(yield func(*claim) bool) {
		host := hostName(r.Host)
		if h := t.exact[host]; h != nil && !h.visit(r.Path, yield) {
			return
		}
		if len(t.wildcard) > 0 && len(host) <= maxHostBytes {
			// The star stands for at least one label; from the left, so the longest suffix comes first.
			for i := strings.IndexByte(host, '.'); i > 0; {
				if h := t.wildcard[host[i:]]; h != nil && !h.visit(r.Path, yield) {
					return
				}
				next := strings.IndexByte(host[i+1:], '.')
				if next < 0 {
					break
				}
				i += 1 + next
			}
		}
		if t.every != nil {
			t.every.visit(r.Path, yield)
		}
	}
}

// hostName brings a Host header to the form hostnames have in the table: no port, no dot at the end, lower case.
func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// hostTable is the claims under one hostname.
type hostTable struct {
	root    node
	regexes []*claim // in order of precedence
}

// node is one place in the tree of paths; a child is one segment further.
type node struct {
	children map[string]*node
	exact    []*claim // in order of precedence
	prefix   []*claim // in order of precedence
	up       *node    // nearest node above that has prefix claims
}

// visit yields the claims that match the path: exact ones, prefixes from the longest, patterns. It reports whether to go on.
func (h *hostTable) visit(path string, yield func(*claim) bool) bool {
	at, whole := h.root.descend(path)
	if whole && !yieldAll(at.exact, yield) {
		return false
	}
	for ; at != nil; at = at.up {
		if !yieldAll(at.prefix, yield) {
			return false
		}
	}
	for _, c := range h.regexes {
		if c.path.re.MatchString(path) && !yield(c) {
			return false
		}
	}
	return true
}

func yieldAll(claims []*claim, yield func(*claim) bool) bool {
	for _, c := range claims {
		if !yield(c) {
			return false
		}
	}
	return true
}

// descend follows the path's segments as far as the tree goes, and reports whether that was the whole path.
func (n *node) descend(path string) (deepest *node, whole bool) {
	rest := strings.TrimPrefix(path, "/")
	for {
		segment, after, more := strings.Cut(rest, "/")
		child := n.children[segment]
		if child == nil {
			return n, false
		}
		n, rest = child, after
		if !more {
			return n, true
		}
	}
}
