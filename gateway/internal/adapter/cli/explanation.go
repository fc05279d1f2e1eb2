package cli

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/problem"

	"errors"
)

// Question is a request to explain.
type Question struct {
	Method string
	URL    string // absolute, or a path on localhost
	Header http.Header
	Caller routing.Caller // Header is filled in
}

// Explanation is what a gateway with a table would do with a request, and why. It never verifies a token: what depends on
// one is listed in If.
type Explanation struct {
	Snapshot string   `json:"snapshot"`
	Request  string   `json:"request"`
	Stripped []string `json:"stripped_headers,omitempty"`

	Decision string   `json:"decision"` // forward, refuse, own
	Status   int      `json:"status,omitempty"`
	Code     string   `json:"code,omitempty"`
	Why      string   `json:"why"`
	If       []string `json:"if,omitempty"` // what must hold besides

	Match    string        `json:"match,omitempty"`
	Rule     []fact        `json:"rule,omitempty"`
	Upstream string        `json:"upstream_path,omitempty"`
	Limits   []limitKey    `json:"limit_keys,omitempty"`
	Sources  []source      `json:"sources,omitempty"`
	Rejected []alternative `json:"rejected,omitempty"`
}

type limitKey struct {
	Rule string `json:"rule"`
	Key  string `json:"key"`
	When string `json:"when"`
}

// source is a resource that had a part in the decision.
type source struct {
	Resource   string `json:"resource"`
	Generation int64  `json:"generation"`
	Place      string `json:"place,omitempty"` // file:line
}

type alternative struct {
	Rule  string `json:"rule"`
	Match string `json:"match"`
	Why   string `json:"why"`
}

// Explain answers a question by a table. places gives file:line by Kind/name and may be nil.
func Explain(table *routing.Table, ownPaths []string, places map[string]string, q Question) Explanation {
	host, escaped, query := splitURL(q.URL)
	e := Explanation{Snapshot: table.Digest(), Request: q.Method + " " + cmp.Or(host, "localhost") + escaped}
	path, err := routing.Canonical(escaped)
	if err != nil {
		e.refuse(fault.Invalid, flawOf(err))
		return e
	}
	if slices.Contains(ownPaths, path) {
		e.Decision, e.Why = "own", "the gateway answers this path itself"
		return e
	}
	header := e.strip(table.Hygiene(), q.Header)
	r := routing.Request{Method: q.Method, Host: cmp.Or(host, "localhost"), Path: path, RawQuery: query, Header: header}
	if preflight := header.Get("Access-Control-Request-Method"); q.Method == http.MethodOptions && header.Get("Origin") != "" && preflight != "" {
		asked := r
		asked.Method = preflight
		if d := table.Match(&asked); d.Outcome == routing.Matched && d.Rule.CORS != nil && d.Rule.Refused == "" {
			e.Decision, e.Why, e.Rule = "own", "the gateway answers a browser's question about "+preflight, facts(d.Rule)
			return e
		}
	}
	d, candidates := table.Explain(&r)
	for _, c := range candidates {
		if c.Lost == "" {
			e.Match = c.Match
			continue
		}
		e.Rejected = append(e.Rejected, alternative{ruleName(c.Rule), c.Match, c.Lost})
	}
	switch d.Outcome {
	case routing.NotFound:
		e.refuse(fault.NotFound, "no Route claims this host and path")
	case routing.MethodNotAllowed:
		e.refuse(fault.MethodNotAllowed, "Routes claim this host and path for "+d.Allow)
	default:
		q.Caller.Header = header
		e.matched(d, &r, q.Caller, places)
	}
	return e
}

// matched goes the rest of the way with the rule.
func (e *Explanation) matched(d routing.Decision, r *routing.Request, caller routing.Caller, places map[string]string) {
	rule := d.Rule
	e.Rule = facts(rule)
	e.cite(places, "Route", rule.Route, rule.Generation)
	if rule.Refused != "" {
		e.refuse(fault.Unavailable, rule.Refused)
		return
	}
	e.Upstream, _ = rule.Path.Apply(d, r.Path)
	for _, stage := range []routing.Stage{routing.BeforeAuth, routing.AfterAuth} {
		when := "before authentication"
		if stage == routing.AfterAuth {
			when = "after authentication"
		}
		for _, c := range rule.Charges(nil, stage, &caller) {
			e.Limits = append(e.Limits, limitKey{c.Rule.Label(), c.Key.String(), when})
			e.If = append(e.If, fmt.Sprintf("%s is not used up for %s", c.Rule.Label(), c.Key))
		}
	}
	for _, l := range rule.Limits {
		e.cite(places, "RateLimitPolicy", l.Policy, l.Generation)
	}
	e.Decision, e.Why = "forward", ruleName(rule)
	if rule.Auth.Anonymous() {
		return
	}
	policy := rule.Auth.Policy
	e.cite(places, "TokenPolicy", policy.Name, policy.Generation)
	if !hasCredential(policy, r.Header) {
		e.refuse(fault.Unauthenticated, fmt.Sprintf("the request has no token where TokenPolicy %s looks: %s", policy.Name, credentialPlaces(policy)))
		return
	}
	e.If = append(e.If, fmt.Sprintf("its token holds by TokenPolicy %s and is not revoked", policy.Name))
	for _, p := range rule.Require {
		e.If = append(e.If, "its caller has "+p.String())
	}
}

func (e *Explanation) refuse(kind fault.Kind, why string) {
	e.Decision, e.Why, e.If = "refuse", why, nil
	e.Status, e.Code = problem.Of(kind)
}

func (e *Explanation) cite(places map[string]string, kind, name string, generation int64) {
	id := kind + "/" + name
	if cited := (source{id, generation, places[id]}); !slices.Contains(e.Sources, cited) {
		e.Sources = append(e.Sources, cited)
	}
}

// strip drops what no client may bring, as the edge does before it matches.
func (e *Explanation) strip(h *routing.Hygiene, header http.Header) http.Header {
	kept := http.Header{}
	for name, values := range header {
		if h.Identity(name) || h.Forwarding(name) {
			e.Stripped = append(e.Stripped, name)
			continue
		}
		kept[textproto.CanonicalMIMEHeaderKey(name)] = values
	}
	slices.Sort(e.Stripped)
	return kept
}

// splitURL cuts a URL without judging or repairing its path, which is what is to be explained.
func splitURL(url string) (host, path, query string) {
	url, _, _ = strings.Cut(url, "#")
	if _, rest, ok := strings.Cut(url, "://"); ok {
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		host, url = rest[:end], rest[end:]
	}
	path, query, _ = strings.Cut(url, "?")
	return host, cmp.Or(path, "/"), query
}

func hasCredential(p *routing.TokenPolicy, header http.Header) bool {
	from := p.Spec.ExtractFrom
	if from.APIKeyHeader != "" && header.Get(string(from.APIKeyHeader)) != "" {
		return true
	}
	if from.Header != nil {
		scheme, token, _ := strings.Cut(header.Get(string(from.Header.Name)), " ")
		if token != "" && strings.EqualFold(scheme, from.Header.Scheme) {
			return true
		}
	}
	if from.Cookie == nil {
		return false
	}
	r := http.Request{Header: header}
	cookie, err := r.Cookie(from.Cookie.Name)
	return err == nil && cookie.Value != ""
}

func credentialPlaces(p *routing.TokenPolicy) string {
	var places []string
	from := p.Spec.ExtractFrom
	if from.Header != nil {
		places = append(places, fmt.Sprintf("header %s (%s)", from.Header.Name, from.Header.Scheme))
	}
	if from.Cookie != nil {
		places = append(places, "cookie "+from.Cookie.Name)
	}
	if from.APIKeyHeader != "" {
		places = append(places, fmt.Sprintf("header %s (API key)", from.APIKeyHeader))
	}
	return strings.Join(places, ", ")
}

// flawOf returns what a refusal says about the path.
func flawOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && len(f.Fields) > 0 {
		return f.Fields[0].Detail
	}
	return err.Error()
}

// localhost is whose requests are explained when nobody says whose.
var localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})
