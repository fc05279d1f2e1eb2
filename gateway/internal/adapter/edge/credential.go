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

// credential is what a request shows for itself.
type credential struct {
	value  string
	cookie bool // a browser sends it by itself, also on behalf of other sites
	apiKey bool
}

// findCredential looks in every place the policy names. A request that uses two is refused: which one counts would
// depend on who reads it.
func findCredential(r *http.Request, from *v1alpha1.ExtractFrom) (credential, error) {
	var found credential
	places := 0
	if from.Header != nil {
		if value, err := schemeValue(r.Header, from.Header); err != nil {
			return credential{}, err
		} else if value != "" {
			found, places = credential{value: value, apiKey: strings.HasPrefix(value, apiKeyPrefix)}, places+1
		}
	}
	if from.APIKeyHeader != "" {
		switch values := r.Header[textproto.CanonicalMIMEHeaderKey(string(from.APIKeyHeader))]; len(values) {
		case 0:
		case 1:
			found, places = credential{value: values[0], apiKey: true}, places+1
		default:
			places += len(values)
		}
	}
	if from.Cookie != nil && len(r.Header["Cookie"]) > 0 {
		for _, c := range r.CookiesNamed(from.Cookie.Name) {
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
func schemeValue(h http.Header, at *v1alpha1.TokenHeader) (string, error) {
	values := h[textproto.CanonicalMIMEHeaderKey(string(at.Name))]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", fault.Validation(fault.Field{Field: string(at.Name), Code: "REPEATED", Detail: "the header is there more than once"})
	}
	scheme, value, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, at.Scheme) {
		return "", nil
	}
	return strings.Trim(value, " "), nil
}
