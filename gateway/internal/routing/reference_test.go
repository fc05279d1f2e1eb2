package routing_test

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	"pgregory.net/rapid"
)

// reference matches the slow way, straight from the words of HTTPRoute: collect every match of every rule of every route
// that holds, sort by precedence, take the first. It shares no code with the table.
func reference(routes []*v1alpha1.Route, r *routing.Request) string {
	type found struct {
		host  string
		m     v1alpha1.RouteMatch
		route *v1alpha1.Route
		rule  int
		place int
	}
	var hits []found
	var others []string
	for _, route := range routes {
		hosts := route.Spec.Hostnames
		if len(hosts) == 0 {
			hosts = []v1alpha1.Hostname{""}
		}
		place := 0
		for i, rule := range route.Spec.Rules {
			for _, m := range rule.Matches {
				place++
				for _, h := range hosts {
					if !hostHolds(string(h), r.Host) || !pathHolds(m.Path, r.Path) || !fieldsHold(m, r) {
						continue
					}
					if m.Method != "" && string(m.Method) != r.Method {
						others = append(others, string(m.Method))
						continue
					}
					hits = append(hits, found{string(h), m, route, i, place})
				}
			}
		}
	}
	if len(hits) == 0 {
		if len(others) == 0 {
			return "404"
		}
		slices.Sort(others)
		return "405 " + strings.Join(slices.Compact(others), ", ")
	}
	slices.SortStableFunc(hits, func(a, b found) int {
		return cmp.Or(
			cmp.Compare(hostRank(b.host), hostRank(a.host)),
			cmp.Compare(pathRank(b.m.Path), pathRank(a.m.Path)),
			cmp.Compare(len(b.m.Method)*100/max(1, len(b.m.Method)), len(a.m.Method)*100/max(1, len(a.m.Method))),
			cmp.Compare(len(b.m.Headers), len(a.m.Headers)),
			cmp.Compare(len(b.m.QueryParams), len(a.m.QueryParams)),
			a.route.CreationTimestamp.Compare(b.route.CreationTimestamp.Time),
			cmp.Compare(a.route.Name, b.route.Name),
			cmp.Compare(a.place, b.place),
		)
	})
	return fmt.Sprintf("%s/%d", hits[0].route.Name, hits[0].rule)
}

func hostHolds(pattern, host string) bool {
	switch {
	case pattern == "":
		return true
	case strings.HasPrefix(pattern, "*"):
		return strings.HasSuffix(host, pattern[1:]) && len(host) >= len(pattern)
	default:
		return pattern == host
	}
}

// hostRank: exact names count most, then the characters of a wildcard.
func hostRank(pattern string) int {
	if pattern == "" || strings.HasPrefix(pattern, "*") {
		return len(pattern)
	}
	return 1000 + len(pattern)
}

func pathHolds(m v1alpha1.PathMatch, path string) bool {
	switch m.Type {
	case v1alpha1.PathExact:
		return path == m.Value
	case v1alpha1.PathRegularExpression:
		re := regexp.MustCompile(m.Value)
		re.Longest()
		at := re.FindStringIndex(path)
		return at != nil && at[0] == 0 && at[1] == len(path)
	default:
		prefix := strings.Split(strings.Trim(m.Value, "/"), "/")
		have := strings.Split(strings.TrimPrefix(path, "/"), "/")
		if prefix[0] == "" {
			return true
		}
		return len(have) >= len(prefix) && slices.Equal(have[:len(prefix)], prefix)
	}
}

func pathRank(m v1alpha1.PathMatch) int {
	switch m.Type {
	case v1alpha1.PathExact:
		return 1 << 20
	case v1alpha1.PathRegularExpression:
		return len(m.Value)
	default:
		return 1<<10 + len(strings.TrimSuffix(m.Value, "/"))
	}
}

func fieldsHold(m v1alpha1.RouteMatch, r *routing.Request) bool {
	holds := func(typ v1alpha1.ValueMatchType, pattern, value string) bool {
		if typ == v1alpha1.ValueRegularExpression {
			return pathHolds(v1alpha1.PathMatch{Type: v1alpha1.PathRegularExpression, Value: pattern}, value)
		}
		return pattern == value
	}
	for _, h := range m.Headers {
		values := r.Header["X-"+strings.ToUpper(string(h.Name[2:]))]
		if len(values) == 0 || !holds(h.Type, h.Value, strings.Join(values, ",")) {
			return false
		}
	}
	query, _ := url.ParseQuery(r.RawQuery)
	for _, q := range m.QueryParams {
		if !query.Has(q.Name) || !holds(q.Type, q.Value, query.Get(q.Name)) {
			return false
		}
	}
	return true
}

// The alphabets are tiny, so that matches overlap, conflict and nest all the time.
var (
	someHosts    = []v1alpha1.Hostname{"a.x", "b.a.x", "*.x", "*.a.x", "y"}
	someSegments = []string{"a", "b", "ab"}
	someMethods  = []v1alpha1.HTTPMethod{"", "", "GET", "POST"}
	somePatterns = []string{"/.*", "/a/[ab]+", "/(a|ab)/?", "/b.*b"}
)

func somePath(t *rapid.T) string {
	path := "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(someSegments), 0, 3).Draw(t, "segments"), "/")
	if path != "/" && rapid.IntRange(0, 4).Draw(t, "slash") == 0 {
		path += "/"
	}
	return path
}

func someMatch(t *rapid.T) v1alpha1.RouteMatch {
	m := v1alpha1.RouteMatch{Method: rapid.SampledFrom(someMethods).Draw(t, "method")}
	m.Path.Type = rapid.SampledFrom([]v1alpha1.PathMatchType{v1alpha1.PathExact, v1alpha1.PathPrefix, v1alpha1.PathPrefix, v1alpha1.PathRegularExpression}).Draw(t, "type")
	if m.Path.Value = somePath(t); m.Path.Type == v1alpha1.PathRegularExpression {
		m.Path.Value = rapid.SampledFrom(somePatterns).Draw(t, "pattern")
	}
	valueType := rapid.SampledFrom([]v1alpha1.ValueMatchType{v1alpha1.ValueExact, v1alpha1.ValueRegularExpression})
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b"}), 0, 2, rapid.ID).Draw(t, "headers") {
		m.Headers = append(m.Headers, v1alpha1.HeaderMatch{Type: valueType.Draw(t, "type"), Name: v1alpha1.HeaderName("x-" + name), Value: rapid.SampledFrom([]string{"1", "1,2", "."}).Draw(t, "value")})
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"q", "p"}), 0, 1, rapid.ID).Draw(t, "query") {
		m.QueryParams = append(m.QueryParams, v1alpha1.QueryParamMatch{Type: valueType.Draw(t, "type"), Name: name, Value: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")})
	}
	return m
}

func someRoute(t *rapid.T, name string) *v1alpha1.Route {
	r := route(name, age(rapid.IntRange(0, 2).Draw(t, "age")))
	r.Spec.Hostnames = rapid.SliceOfNDistinct(rapid.SampledFrom(someHosts), 0, 2, rapid.ID).Draw(t, "hosts")
	for range rapid.IntRange(1, 3).Draw(t, "rules") {
		spec := v1alpha1.RouteRule{Backends: []v1alpha1.Backend{{Name: "files", Weight: 1}}}
		open(&spec)
		for range rapid.IntRange(1, 3).Draw(t, "matches") {
			spec.Matches = append(spec.Matches, someMatch(t))
		}
		r.Spec.Rules = append(r.Spec.Rules, spec)
	}
	return r
}

func someRequest(t *rapid.T) *routing.Request {
	r := &routing.Request{
		Method:   rapid.SampledFrom([]string{"GET", "POST", "PUT"}).Draw(t, "method"),
		Host:     rapid.SampledFrom([]string{"a.x", "b.a.x", "c.a.x", "c.x", "x", "y", "z"}).Draw(t, "host"),
		Path:     somePath(t),
		RawQuery: rapid.SampledFrom([]string{"", "q=1", "q=2&q=1", "p=1&q=2"}).Draw(t, "query"),
		Header:   map[string][]string{},
	}
	for _, name := range []string{"X-A", "X-B"} {
		if values := rapid.SampledFrom([][]string{nil, {"1"}, {"2"}, {"1", "2"}}).Draw(t, name); values != nil {
			r.Header[name] = values
		}
	}
	return r
}

func TestMatch_EqualsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var routes []*v1alpha1.Route
		var objects []resource.Object
		for i := range rapid.IntRange(1, 6).Draw(t, "routes") {
			r := someRoute(t, fmt.Sprintf("r%d", i))
			routes, objects = append(routes, r), append(objects, r)
		}
		table, _ := routing.Compile(boot, snapshot(objects...), nil)
		for range 20 {
			r := someRequest(t)
			var got string
			switch d := table.Match(r); d.Outcome {
			case routing.Matched:
				got = d.Rule.Route + "/" + d.Rule.Name
			case routing.MethodNotAllowed:
				got = "405 " + d.Allow
			default:
				got = "404"
			}
			if want := reference(routes, r); got != want {
				t.Fatalf("%s %s%s?%s %v: got %s, want %s", r.Method, r.Host, r.Path, r.RawQuery, r.Header, got, want)
			}
		}
	})
}
