package routing

import (
	"cmp"
	"fmt"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/principal"
)

// compileRoute makes the claims of a Route, one a match and hostname, and records in f what is wrong with it. Claims come
// back also when something is: of a refused Route they are what answers 503.
func (c *compiler) compileRoute(r *v1alpha1.Route, f *finding) []stake {
	var stakes []stake
	refusal := compileRefusal(r.Spec.Refusals, f)
	for i := range r.Spec.Rules {
		spec, at := &r.Spec.Rules[i], fmt.Sprintf("spec.rules[%d]", i)
		rule := c.compileRule(spec, at, f)
		rule.Route, rule.Generation, rule.Refusal = r.Name, r.Generation, refusal
		if rule.Name = string(spec.Name); rule.Name == "" {
			rule.Name = strconv.Itoa(i)
		}
		matches := spec.Matches
		if len(matches) == 0 {
			matches = []v1alpha1.RouteMatch{{}}
		}
		for j := range matches {
			field := fmt.Sprintf("%s.matches[%d]", at, j)
			m, ok := compileMatch(&matches[j], field, f)
			if !ok {
				continue
			}
			for _, host := range hosts(r) {
				own := m
				own.host, own.rule, own.created, own.order = host, rule, r.CreationTimestamp.Time, len(stakes)
				stakes = append(stakes, stake{claim: &own, field: field, finding: f})
			}
		}
	}
	if len(stakes) == 0 && len(f.rejected) == 0 {
		f.reject("spec.rules", "no rule matches anything")
	}
	f.matches = len(stakes)
	return stakes
}

// hosts returns the hostname patterns of a Route, "" for every host. A bare star passes no schema, but in a refused Route it
// says plainly what was meant.
func hosts(r *v1alpha1.Route) []string {
	if len(r.Spec.Hostnames) == 0 {
		return []string{""}
	}
	patterns := make([]string, 0, len(r.Spec.Hostnames))
	for _, h := range r.Spec.Hostnames {
		pattern := strings.ToLower(string(h))
		if pattern == "*" {
			pattern = ""
		}
		patterns = append(patterns, pattern)
	}
	return patterns
}

// compileMatch makes a claim that lacks host and rule. What is left out means what the schema's defaults say, also in an
// object that never got as far as being given them.
func compileMatch(m *v1alpha1.RouteMatch, at string, f *finding) (claim, bool) {
	before := len(f.rejected)
	c := claim{method: strings.ToUpper(string(m.Method)), path: compilePath(m.Path, at, f)}
	for i, h := range m.Headers {
		name := textproto.CanonicalMIMEHeaderKey(string(h.Name))
		if name == "Host" {
			f.reject(at+".headers", "a host is matched by spec.hostnames")
		}
		c.headers = append(c.headers, compileField(name, h.Type, h.Value, fmt.Sprintf("%s.headers[%d]", at, i), f))
	}
	for i, q := range m.QueryParams {
		c.query = append(c.query, compileField(q.Name, q.Type, q.Value, fmt.Sprintf("%s.queryParams[%d]", at, i), f))
	}
	return c, len(f.rejected) == before
}

func compilePath(m v1alpha1.PathMatch, at string, f *finding) pathMatch {
	p := pathMatch{kind: pathPrefix, value: cmp.Or(m.Value, "/")}
	if m.Type == v1alpha1.PathRegularExpression {
		p.kind = pathRegex
		var err error
		if p.re, err = wholly(p.value); err != nil {
			f.reject(at+".path.value", "not a regular expression: %v", err)
		}
		return p
	}
	if !isCanonical(p.value) {
		f.reject(at+".path.value", "%q is not a path a request can have", m.Value)
	}
	if m.Type == v1alpha1.PathExact {
		p.kind = pathExact
	} else if p.value != "/" {
		p.value = strings.TrimSuffix(p.value, "/")
	}
	return p
}

func isCanonical(path string) bool {
	got, err := Canonical(path)
	return err == nil && got == path
}

func compileField(name string, typ v1alpha1.ValueMatchType, value, at string, f *finding) fieldMatch {
	m := fieldMatch{name: name, value: value}
	if typ == v1alpha1.ValueRegularExpression {
		var err error
		if m.re, err = wholly(value); err != nil {
			f.reject(at+".value", "not a regular expression: %v", err)
		}
	}
	return m
}

// wholly compiles a pattern that must match all of a text. The pattern is compiled alone first: "a)(b" must not become
// valid by what is put around it.
func wholly(pattern string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// compileRule makes everything of a rule but its matches.
func (c *compiler) compileRule(spec *v1alpha1.RouteRule, at string, f *finding) *Rule {
	rule := &Rule{
		MaxBodyBytes: c.maxBodyBytes,
		Timeouts:     Timeouts{Request: spec.Timeouts.Request.Std(), ResponseHeader: spec.Timeouts.ResponseHeader.Std()},
		Retries:      int(spec.Retry.Attempts),
	}
	if spec.Limits.MaxBodyBytes != "" {
		rule.MaxBodyBytes = spec.Limits.MaxBodyBytes.Bytes()
	}
	c.compileAuth(rule, spec, at, f)
	c.compileLimits(rule, spec, at, f)
	compileBackends(rule, spec, at, f)
	compileRewrite(rule, spec, at, f)
	compileHeaders(rule, spec, at, f)
	rule.CORS = compileCORS(spec.CORS, at, f)
	return rule
}

// compileAuth demands the explicit decision. The schema demands it too; a core that guards a door checks for itself.
func (c *compiler) compileAuth(rule *Rule, spec *v1alpha1.RouteRule, at string, f *finding) {
	auth := spec.Auth
	switch {
	case (auth.TokenPolicyRef == nil) == (auth.Anonymous == nil):
		f.reject(at+".auth", "exactly one of tokenPolicyRef, anonymous is needed")
	case auth.Anonymous != nil && auth.Anonymous.Reason == "":
		f.reject(at+".auth.anonymous.reason", "needed")
	case auth.Anonymous != nil:
		rule.Auth.AnonymousReason = auth.Anonymous.Reason
	default:
		name := string(auth.TokenPolicyRef.Name)
		if rule.Auth.Policy = c.tokens[name]; rule.Auth.Policy == nil {
			rule.unresolved(f, at+".auth.tokenPolicyRef.name", v1alpha1.KindTokenPolicy, name)
		}
	}
	if spec.Require == nil {
		return
	}
	if auth.TokenPolicyRef == nil {
		f.reject(at+".require", "needs auth.tokenPolicyRef")
	}
	for _, name := range spec.Require.Permissions {
		p, ok := principal.ParsePermission(string(name))
		if !ok {
			f.reject(at+".require.permissions", "%q is not resource:action:scope", name)
		}
		rule.Require = append(rule.Require, p)
	}
}

// unresolved makes the rule answer 503: serving it without a policy it names would be serving it open or unlimited.
func (r *Rule) unresolved(f *finding, field, kind, name string) {
	missing := flaw{field, fmt.Sprintf("there is no usable %s %q", kind, name)}
	f.unresolved = append(f.unresolved, missing)
	r.Refused = missing.String()
}

func (c *compiler) compileLimits(rule *Rule, spec *v1alpha1.RouteRule, at string, f *finding) {
	seen := map[v1alpha1.ObjectName]bool{}
	for i, ref := range spec.RateLimitRefs {
		limits, ok := c.limits[string(ref.Name)]
		switch {
		case !ok:
			rule.unresolved(f, fmt.Sprintf("%s.rateLimitRefs[%d].name", at, i), v1alpha1.KindRateLimitPolicy, string(ref.Name))
		case !seen[ref.Name]:
			rule.Limits = append(rule.Limits, limits...)
		}
		seen[ref.Name] = true
	}
}
