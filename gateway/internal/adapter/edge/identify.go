package edge

import (
	"net/http"
	"net/textproto"
	"strings"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
)

// identify tells the service who is calling: the access token itself, which it verifies again, and the claim headers of
// the policy. An API key goes no further than here.
func (x *exchange) identify(h http.Header) {
	if x.rule.Auth.Anonymous() {
		return
	}
	spec := x.rule.Auth.Policy.Spec
	if spec.ExtractFrom.APIKeyHeader != "" {
		delete(h, textproto.CanonicalMIMEHeaderKey(string(spec.ExtractFrom.APIKeyHeader)))
	}
	if at := spec.ExtractFrom.Header; at != nil {
		delete(h, textproto.CanonicalMIMEHeaderKey(string(at.Name)))
	}
	set(h, "Authorization", "Bearer "+x.raw)
	for i := range spec.ClaimHeaders {
		name := textproto.CanonicalMIMEHeaderKey(string(spec.ClaimHeaders[i].Header))
		if value := x.claim(&spec.ClaimHeaders[i]); value != "" {
			set(h, name, value)
		} else {
			delete(h, name)
		}
	}
}

// claim is the value of one claim as a header can carry it.
func (x *exchange) claim(ch *v1alpha1.ClaimHeader) string {
	switch ch.Claim {
	case "sub":
		return x.caller.UserID
	case "sid":
		return x.caller.SessionID
	case "api_key_id":
		return x.caller.APIKeyID
	case "jti":
		return x.caller.TokenID
	case "roles":
		return strings.Join(x.caller.Roles, ",")
	case "permissions":
		names := make([]string, len(x.caller.Permissions))
		for i, p := range x.caller.Permissions {
			names[i] = p.String()
		}
		return strings.Join(names, ",")
	}
	return ""
}

// edit changes a header: remove, set, add. The names are canonical.
func edit(h http.Header, remove []string, replace, add []routing.Header) {
	for _, name := range remove {
		delete(h, name)
	}
	for _, f := range replace {
		set(h, f.Name, f.Value)
	}
	for _, f := range add {
		h[f.Name] = append(h[f.Name], f.Value)
	}
}
