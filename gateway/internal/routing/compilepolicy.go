package routing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/textproto"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
)

// maxRefill is the longest an exhausted key may take to be whole again. Longer is a mistake in the numbers, and would not
// survive a restart anyway.
const maxRefill = 366 * 24 * time.Hour

func (c *compiler) tokenPolicies(list []*v1alpha1.TokenPolicy) {
	for _, p := range list {
		f := c.review(v1alpha1.KindTokenPolicy, p)
		checkTokenPolicy(p, f)
		served := p
		if len(f.rejected) > 0 {
			served = c.last.tokens[p.Name]
		}
		if served != nil {
			f.fallback, f.hasFallback = served.Generation, true
			c.table.kept.tokens[p.Name] = served
			c.tokens[p.Name] = newTokenPolicy(served)
			c.table.policies = append(c.table.policies, c.tokens[p.Name])
		}
	}
}

func newTokenPolicy(p *v1alpha1.TokenPolicy) *TokenPolicy {
	text, err := json.Marshal(p.Spec)
	if err != nil {
		text = []byte(p.Name) // cannot happen: the spec holds strings and numbers only
	}
	sum := sha256.Sum256(text)
	return &TokenPolicy{Name: p.Name, Generation: p.Generation, Digest: hex.EncodeToString(sum[:]), Spec: &p.Spec}
}

// checkTokenPolicy finds what the schema can't say.
func checkTokenPolicy(p *v1alpha1.TokenPolicy, f *finding) {
	if len(p.Spec.Algorithms) == 0 || len(p.Spec.Audiences) == 0 || p.Spec.Issuer == "" {
		f.reject("spec", "issuer, audiences and algorithms are needed")
	}
	from := p.Spec.ExtractFrom
	if from.Header == nil && from.Cookie == nil && from.APIKeyHeader == "" {
		f.reject("spec.extractFrom", "at least one of header, cookie, apiKeyHeader is needed")
	}
	own := NewHygiene()
	seen := map[string]bool{}
	for i, ch := range p.Spec.ClaimHeaders {
		at, folded := fmt.Sprintf("spec.claimHeaders[%d].header", i), foldName(string(ch.Header))
		if own.Forwarding(string(ch.Header)) {
			f.reject(at, "%s is the gateway's own", ch.Header)
		}
		if seen[folded] {
			f.reject(at, "%s is there twice, in another spelling", ch.Header)
		}
		seen[folded] = true
	}
}

func (c *compiler) rateLimitPolicies(list []*v1alpha1.RateLimitPolicy) {
	for _, p := range list {
		f := c.review(v1alpha1.KindRateLimitPolicy, p)
		rules := limitRules(p, f)
		served := p
		if len(f.rejected) > 0 {
			if served = c.last.limits[p.Name]; served != nil {
				rules = limitRules(served, &finding{})
			}
		}
		if served != nil {
			f.fallback, f.hasFallback = served.Generation, true
			c.table.kept.limits[p.Name] = served
			c.limits[p.Name] = rules
		}
	}
}

var keyKinds = map[v1alpha1.RateLimitKeyType]KeyKind{
	v1alpha1.KeyClient: ByClient, v1alpha1.KeySubject: BySubject, v1alpha1.KeyAPIKey: ByAPIKey, v1alpha1.KeyHeader: ByHeader,
}

// limitRules compiles a policy and finds what the schema can't say.
func limitRules(p *v1alpha1.RateLimitPolicy, f *finding) []*LimitRule {
	var rules []*LimitRule
	for i, spec := range p.Spec.Rules {
		at := fmt.Sprintf("spec.rules[%d]", i)
		r := &LimitRule{
			Policy: p.Name, Generation: p.Generation,
			Name:   string(spec.Name),
			By:     keyKinds[spec.Key.Type],
			Header: textproto.CanonicalMIMEHeaderKey(string(spec.Key.Header)),
			Limit:  int64(spec.Limit),
			Window: spec.Window.Std(),
			Burst:  int64(spec.BurstOrLimit()),
			Shadow: spec.Mode == v1alpha1.Shadow,
			Quiet:  p.Spec.Headers == v1alpha1.OmitHeaders,
		}
		switch {
		case r.Limit < 1 || r.Burst < 1 || r.Window <= 0:
			f.reject(at, "limit, burst and window must be above 0")
		case float64(r.Burst)*float64(r.Window)/float64(r.Limit) > float64(maxRefill):
			f.reject(at, "an exhausted key would need over a year to be whole again: lower burst or raise limit")
		case r.By == 0 || r.By == ByHeader && r.Header == "":
			f.reject(at+".key", "no such key")
		}
		rules = append(rules, r)
	}
	if len(rules) == 0 {
		f.reject("spec.rules", "at least one rule is needed")
	}
	return rules
}
