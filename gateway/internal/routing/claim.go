package routing

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A claim is one match of one rule under one hostname: the unit that wins or loses a request.
type claim struct {
	host    string // lower case; "*.example.com" for all names below it; "" for every host
	path    pathMatch
	method  string // "" for all
	headers []fieldMatch
	query   []fieldMatch
	rule    *Rule
	created time.Time
	order   int // place among the matches of its Route
}

// pathKind orders the kinds of path match: the smaller wins.
type pathKind uint8

const (
	pathExact pathKind = iota
	pathPrefix
	pathRegex
)

// pathMatch is what a claim asks of the path. A prefix matches whole segments and is kept without a slash at its end.
type pathMatch struct {
	kind  pathKind
	value string
	re    *regexp.Regexp
}

// fieldMatch is what a claim asks of one header or query parameter: the value itself, or a pattern it matches wholly.
type fieldMatch struct {
	name  string
	value string
	re    *regexp.Regexp
}

func (m fieldMatch) holds(value string) bool {
	if m.re != nil {
		return m.re.MatchString(value)
	}
	return m.value == value
}

func (m fieldMatch) String() string {
	if m.re != nil {
		return m.name + " ~ " + m.value
	}
	return m.name + " = " + m.value
}

// precedence is HTTPRoute's order among claims that could all take one request: each step puts the winner first, and says
// of the other why it lost.
var precedence = []struct {
	lost string
	cmp  func(a, b *claim) int
}{
	{"its host is less specific", func(a, b *claim) int { return compareHosts(a.host, b.host) }},
	{"its kind of path match is weaker", func(a, b *claim) int { return cmp.Compare(a.path.kind, b.path.kind) }},
	{"its path is shorter", func(a, b *claim) int { return cmp.Compare(len(b.path.value), len(a.path.value)) }},
	{"it names no method", func(a, b *claim) int { return cmp.Compare(present(b.method), present(a.method)) }},
	{"it asks for fewer headers", func(a, b *claim) int { return cmp.Compare(len(b.headers), len(a.headers)) }},
	{"it asks for fewer query parameters", func(a, b *claim) int { return cmp.Compare(len(b.query), len(a.query)) }},
	{"its Route is younger", func(a, b *claim) int { return a.created.Compare(b.created) }},
	{"its Route comes later by name", func(a, b *claim) int { return cmp.Compare(a.rule.Route, b.rule.Route) }},
	{"it comes later in its Route", func(a, b *claim) int { return cmp.Compare(a.order, b.order) }},
}

// compareClaims orders by precedence, the winner first.
func compareClaims(a, b *claim) int {
	for _, step := range precedence {
		if c := step.cmp(a, b); c != 0 {
			return c
		}
	}
	return 0
}

// compareHosts puts exact names before wildcards before every host, and longer before shorter.
func compareHosts(a, b string) int {
	class := func(host string) int {
		switch {
		case host == "":
			return 2
		case strings.HasPrefix(host, "*."):
			return 1
		default:
			return 0
		}
	}
	return cmp.Or(cmp.Compare(class(a), class(b)), cmp.Compare(len(b), len(a)))
}

func present(s string) int { return min(len(s), 1) }

// identity is equal for two claims exactly when they ask the same of a request.
func (c *claim) identity() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %d %q %q", c.host, c.path.kind, c.path.value, c.method)
	for _, fields := range [][]fieldMatch{c.headers, c.query} {
		sorted := slices.SortedFunc(slices.Values(fields), func(x, y fieldMatch) int { return cmp.Compare(x.name, y.name) })
		b.WriteString(" with")
		for _, f := range sorted {
			fmt.Fprintf(&b, " %q %t %q", f.name, f.re != nil, f.value)
		}
	}
	return b.String()
}

// miss is why a claim does not take a request.
type miss uint8

const (
	missNothing miss = iota
	missMethod       // everything else fits: the reason for a 405
	missHeader
	missQuery
)

// String shows the match to a person: "GET any host paths below /v1 header X-Plan = gold".
func (c *claim) String() string {
	var b strings.Builder
	b.WriteString(cmp.Or(c.method, "any method") + " " + cmp.Or(c.host, "any host"))
	switch c.path.kind {
	case pathExact:
		b.WriteString(" path " + c.path.value)
	case pathPrefix:
		b.WriteString(" paths below " + c.path.value)
	default:
		b.WriteString(" paths like " + c.path.value)
	}
	for _, f := range c.headers {
		b.WriteString(" header " + f.String())
	}
	for _, f := range c.query {
		b.WriteString(" query " + f.String())
	}
	return b.String()
}

// check compares everything but host and path, which the table's structure has matched already, and returns the condition
// that does not hold. A wrong method is reported only when all else fits, so that Allow never promises a method that would
// end in 404.
func (c *claim) check(q *query) (miss, *fieldMatch) {
	for i := range c.headers {
		if value, ok := headerValue(q.Header, c.headers[i].name); !ok || !c.headers[i].holds(value) {
			return missHeader, &c.headers[i]
		}
	}
	for i := range c.query {
		values, ok := q.params()[c.query[i].name]
		if !ok || !c.query[i].holds(values[0]) {
			return missQuery, &c.query[i]
		}
	}
	if c.method != "" && c.method != q.Method {
		return missMethod, nil
	}
	return missNothing, nil
}

// headerValue joins a repeated header the way RFC 9110 says it may be joined, so that order and repetition cannot hide a
// value from a match.
func headerValue(header map[string][]string, name string) (string, bool) {
	switch values := header[name]; len(values) {
	case 0:
		return "", false
	case 1:
		return values[0], true
	default:
		return strings.Join(values, ","), true
	}
}

// query is a request being matched; the query string is parsed at most once, and only for a claim that asks.
type query struct {
	*Request
	parsed url.Values
}

func (q *query) params() url.Values {
	if q.parsed == nil {
		q.parsed, _ = url.ParseQuery(q.RawQuery) // a damaged pair is not there, the others are
		if q.parsed == nil {
			q.parsed = url.Values{}
		}
	}
	return q.parsed
}
