package routing

import (
	"slices"
	"strings"
)

// build arranges claims for matching. Of two that ask the same of a request only the first in precedence is served.
func (t *Table) build(claims []*claim) {
	t.exact, t.wildcard = map[string]*hostTable{}, map[string]*hostTable{}
	for _, c := range claims {
		t.host(c.host).insert(c)
	}
	for _, h := range t.hosts() {
		slices.SortFunc(h.regexes, compareClaims)
		h.root.settle(nil)
	}
}

// host returns the table of a hostname pattern, making it when it is new.
func (t *Table) host(pattern string) *hostTable {
	if pattern == "" {
		if t.every == nil {
			t.every = &hostTable{}
		}
		return t.every
	}
	tables, key := t.exact, pattern
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		tables, key = t.wildcard, suffix
	}
	h := tables[key]
	if h == nil {
		h = &hostTable{}
		tables[key] = h
	}
	return h
}

func (t *Table) hosts() []*hostTable {
	var all []*hostTable
	for _, tables := range []map[string]*hostTable{t.exact, t.wildcard} {
		for _, h := range tables {
			all = append(all, h)
		}
	}
	if t.every != nil {
		all = append(all, t.every)
	}
	return all
}

func (h *hostTable) insert(c *claim) {
	switch c.path.kind {
	case pathExact:
		n := h.root.place(c.path.value)
		n.exact = append(n.exact, c)
	case pathPrefix:
		n := &h.root
		if c.path.value != "/" {
			n = h.root.place(c.path.value)
		}
		n.prefix = append(n.prefix, c)
	default:
		h.regexes = append(h.regexes, c)
	}
}

// place returns the node of a path, making the ones on the way.
func (n *node) place(path string) *node {
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		child := n.children[segment]
		if child == nil {
			child = &node{}
			if n.children == nil {
				n.children = map[string]*node{}
			}
			n.children[segment] = child
		}
		n = child
	}
	return n
}

// settle sorts the claims of each node and links it to the nearest one above that has prefixes.
func (n *node) settle(up *node) {
	n.up = up
	slices.SortFunc(n.exact, compareClaims)
	slices.SortFunc(n.prefix, compareClaims)
	if len(n.prefix) > 0 {
		up = n
	}
	for _, child := range n.children {
		child.settle(up)
	}
}

// each calls f with every claim under the hostname.
func (h *hostTable) each(f func(*claim)) {
	var walk func(*node)
	walk = func(n *node) {
		for _, c := range slices.Concat(n.exact, n.prefix) {
			f(c)
		}
		for _, child := range n.children {
			walk(child)
		}
	}
	walk(&h.root)
	for _, c := range h.regexes {
		f(c)
	}
}
