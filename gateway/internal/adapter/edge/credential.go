package edge

import (
	"net/http"
	"net/textproto"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/fault"
)

// apiKeyPrefix begins every API key.
const apiKeyPrefix = "crk_"

// policy is a TokenPolicy as requests meet it: its verifier, and where to look for what to verify. Names are canonical.
type policy struct {
	verifier     Verifier // nil: tokens can't be verified
	header       string   // "" for none, as the next two
	scheme       string
	apiKeyHeader string
	cookie       string
	claims       []claimHeader
}

type claimHeader struct{ claim, header string }

func newPolicy(spec *v1alpha1.TokenPolicySpec, verifier Verifier) *policy {
	p := &policy{verifier: verifier, apiKeyHeader: textproto.CanonicalMIMEHeaderKey(string(spec.ExtractFrom.APIKeyHeader))}
	if at := spec.ExtractFrom.Header; at != nil {
		p.header, p.scheme = textproto.CanonicalMIMEHeaderKey(string(at.Name)), at.Scheme
	}
	if at := spec.ExtractFrom.Cookie; at != nil {
		p.cookie = at.Name
	}
	for _, c := range spec.ClaimHeaders {
		p.claims = append(p.claims, claimHeader{c.Claim, textproto.CanonicalMIMEHeaderKey(string(c.Header))})
	}
	return p
}

// credential is what a request shows for itself.
type credential struct {
	value  string
	cookie bool // a browser sends it by itself, also on behalf of other sites
	apiKey bool
}

// find looks in every place the policy names. A request that uses two is refused: which one counts would depend on who
// reads it. A page that shows as bearer the very token its browser sends in a cookie shows one: the bearer, which no
// other site can make a browser send.
func (p *policy) find(r *http.Request) (credential, error) {
	var found credential
	places := 0
	if p.header != "" {
		if value, err := p.schemeValue(r.Header); err != nil {
			return credential{}, err
		} else if value != "" {
			found, places = credential{value: value, apiKey: strings.HasPrefix(value, apiKeyPrefix)}, places+1
		}
	}
	if p.apiKeyHeader != "" {
		for _, value := range r.Header[p.apiKeyHeader] {
			found, places = credential{value: value, apiKey: true}, places+1
		}
	}
	if p.cookie != "" && len(r.Header["Cookie"]) > 0 {
		cookies := r.CookiesNamed(p.cookie)
		if len(cookies) == 1 && places == 1 && found.value == cookies[0].Value {
			cookies = nil
		}
		for _, c := range cookies {
			found, places = credential{value: c.Value, cookie: true}, places+1
		}
	}
	switch {
	case places == 0 || (places == 1 && found.value == ""):
		return credential{}, fault.New(fault.Unauthenticated, "a bearer token is required")
	case places > 1:
		return credential{}, fault.Validation(fault.Field{
			Field: "credentials", Code: "AMBIGUOUS", Detail: "show one credential, in one place",
		})
	}
	return found, nil
}

// schemeValue returns what follows the scheme. Another scheme is no credential of this policy.
func (p *policy) schemeValue(h http.Header) (string, error) {
	values := h[p.header]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", fault.Validation(fault.Field{Field: p.header, Code: "REPEATED", Detail: "the header is there more than once"})
	}
	scheme, value, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, p.scheme) {
		return "", nil
	}
	return strings.Trim(value, " "), nil
}
