package routing_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The tests write resources in short: route("files", host("a.example"), rule("GET /v1/files/*", open)).

type ruleOption func(*v1alpha1.RouteRule)

type routeOption func(*v1alpha1.Route)

func route(name string, options ...routeOption) *v1alpha1.Route {
	r := &v1alpha1.Route{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}}
	for _, o := range options {
		o(r)
	}
	return r
}

func host(names ...v1alpha1.Hostname) routeOption {
	return func(r *v1alpha1.Route) { r.Spec.Hostnames = names }
}

func generation(n int64) routeOption { return func(r *v1alpha1.Route) { r.Generation = n } }

// age says how many hours ago the route was made.
func age(hours int) routeOption {
	return func(r *v1alpha1.Route) {
		r.CreationTimestamp = metav1.NewTime(time.Unix(2_000_000_000, 0).Add(-time.Duration(hours) * time.Hour))
	}
}

// rule makes a rule of matches separated by " or "; see match.
func rule(matches string, options ...ruleOption) routeOption {
	spec := v1alpha1.RouteRule{Backends: []v1alpha1.Backend{{Name: "files", Weight: 1}}}
	for text := range strings.SplitSeq(matches, " or ") {
		spec.Matches = append(spec.Matches, match(text))
	}
	for _, o := range options {
		o(&spec)
	}
	return func(r *v1alpha1.Route) { r.Spec.Rules = append(r.Spec.Rules, spec) }
}

// match reads "GET /v1/files/* h:X-Plan=gold q:draft~[01]": an optional method, a path (exact; /* at its end makes a
// prefix; ~ before it a pattern), then headers and query parameters, = for a value and ~ for a pattern.
func match(text string) v1alpha1.RouteMatch {
	var m v1alpha1.RouteMatch
	for word := range strings.FieldsSeq(text) {
		kind, rest, ok := strings.Cut(word, ":")
		switch {
		case ok && kind == "h":
			name, typ, value := condition(rest)
			m.Headers = append(m.Headers, v1alpha1.HeaderMatch{Type: typ, Name: v1alpha1.HeaderName(name), Value: value})
		case ok && kind == "q":
			name, typ, value := condition(rest)
			m.QueryParams = append(m.QueryParams, v1alpha1.QueryParamMatch{Type: typ, Name: name, Value: value})
		case strings.HasPrefix(word, "~"):
			m.Path = v1alpha1.PathMatch{Type: v1alpha1.PathRegularExpression, Value: word[1:]}
		case word == "/*":
			m.Path = v1alpha1.PathMatch{Type: v1alpha1.PathPrefix, Value: "/"}
		case strings.HasSuffix(word, "/*"):
			m.Path = v1alpha1.PathMatch{Type: v1alpha1.PathPrefix, Value: strings.TrimSuffix(word, "/*")}
		case strings.HasPrefix(word, "/"):
			m.Path = v1alpha1.PathMatch{Type: v1alpha1.PathExact, Value: word}
		default:
			m.Method = v1alpha1.HTTPMethod(word)
		}
	}
	return m
}

func condition(text string) (name string, typ v1alpha1.ValueMatchType, value string) {
	if i := strings.IndexAny(text, "=~"); text[i] == '~' {
		return text[:i], v1alpha1.ValueRegularExpression, text[i+1:]
	} else {
		return text[:i], v1alpha1.ValueExact, text[i+1:]
	}
}

func open(r *v1alpha1.RouteRule) {
	r.Auth.Anonymous = &v1alpha1.Anonymous{Reason: "tests need no token"}
}

func policy(name v1alpha1.ObjectName) ruleOption {
	return func(r *v1alpha1.RouteRule) { r.Auth.TokenPolicyRef = &v1alpha1.LocalRef{Name: name} }
}

func named(name v1alpha1.ObjectName) ruleOption {
	return func(r *v1alpha1.RouteRule) { r.Name = name }
}

func require(permissions ...v1alpha1.PermissionName) ruleOption {
	return func(r *v1alpha1.RouteRule) { r.Require = &v1alpha1.Require{Permissions: permissions} }
}

func limited(names ...v1alpha1.ObjectName) ruleOption {
	return func(r *v1alpha1.RouteRule) {
		for _, n := range names {
			r.RateLimitRefs = append(r.RateLimitRefs, v1alpha1.LocalRef{Name: n})
		}
	}
}

func tokenPolicy(name string) *v1alpha1.TokenPolicy {
	return &v1alpha1.TokenPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1},
		Spec: v1alpha1.TokenPolicySpec{
			Issuer: "cloakroom", Audiences: []v1alpha1.Audience{"cloakroom"}, Algorithms: []v1alpha1.Algorithm{"EdDSA"},
			ExtractFrom: v1alpha1.ExtractFrom{Header: &v1alpha1.TokenHeader{Name: "Authorization", Scheme: "Bearer"}},
		},
	}
}

func ratePolicy(name string, rules ...v1alpha1.RateLimitRule) *v1alpha1.RateLimitPolicy {
	return &v1alpha1.RateLimitPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1},
		Spec:       v1alpha1.RateLimitPolicySpec{Rules: rules, Headers: v1alpha1.SendHeaders},
	}
}

func rateRule(name v1alpha1.ObjectName, key v1alpha1.RateLimitKeyType, limit int32, window v1alpha1.Duration) v1alpha1.RateLimitRule {
	r := v1alpha1.RateLimitRule{Name: name, Key: v1alpha1.RateLimitKey{Type: key}, Limit: limit, Window: window, Mode: v1alpha1.Enforce}
	if key == v1alpha1.KeyHeader {
		r.Key.Header = "x-tenant"
	}
	return r
}

var boot = v1alpha1.GatewayConfigSpec{Limits: v1alpha1.GatewayLimits{MaxBodyBytes: "1Mi"}}

func snapshot(objects ...resource.Object) *resource.Snapshot {
	return resource.NewSnapshot(objects, nil)
}

// compile makes a table of objects that are all expected to be good.
func compile(t testing.TB, objects ...resource.Object) *routing.Table {
	t.Helper()
	table, statuses := routing.Compile(boot, snapshot(objects...), nil)
	for _, s := range statuses {
		if text := told(s); !strings.HasPrefix(text, "True") {
			t.Errorf("%s/%s: %s", s.Kind, s.Name, text)
		}
	}
	return table
}

// told is the Programmed condition in short: "True Programmed" or "False Overridden: why".
func told(s resource.Status) string {
	for _, c := range s.Conditions {
		if c.Type == v1alpha1.ConditionProgrammed {
			return strings.TrimSuffix(fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message), ": ")
		}
	}
	return "nothing"
}

func status(t testing.TB, statuses []resource.Status, name string) string {
	t.Helper()
	for _, s := range statuses {
		if s.Name == name {
			return told(s)
		}
	}
	t.Fatalf("no status for %s", name)
	return ""
}

// request reads "GET https://host/path?query X-Plan=gold".
func request(text string) *routing.Request {
	words := strings.Fields(text)
	target := strings.TrimPrefix(words[1], "http://")
	i := strings.IndexByte(target, '/')
	path, query, _ := strings.Cut(target[i:], "?")
	r := &routing.Request{Method: words[0], Host: target[:i], Path: path, RawQuery: query, Header: map[string][]string{}}
	for _, w := range words[2:] {
		name, value, _ := strings.Cut(w, "=")
		r.Header[name] = append(r.Header[name], value)
	}
	return r
}

// answer matches a request and says in short what came out: "route/rule", "404", "405 GET, POST", "503".
func answer(table *routing.Table, text string) string {
	d := table.Match(request(text))
	switch {
	case d.Outcome == routing.NotFound:
		return "404"
	case d.Outcome == routing.MethodNotAllowed:
		return "405 " + d.Allow
	case d.Rule.Refused != "":
		return "503"
	default:
		return d.Rule.Route + "/" + d.Rule.Name
	}
}
