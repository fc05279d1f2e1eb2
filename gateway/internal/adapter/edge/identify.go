package edge

import (
	"net/http"
	"strings"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/web"
)

// identify tells the service who is calling: the access token itself, which it verifies again, and the claim headers of
// the policy. An API key goes no further than here.
func (x *exchange) identify(h http.Header) {
	if x.rule.Auth.Anonymous() {
		return
	}
	delete(h, x.policy.apiKeyHeader)
	if x.policy.header != "Authorization" {
		delete(h, x.policy.header)
	}
	if shown := h["Authorization"]; len(shown) != 1 || !isBearer(shown[0], x.raw) {
		x.set(h, "Authorization", "Bearer "+x.raw)
	}
	if x.byCookie {
		x.set(h, web.SessionModeHeader, web.SessionModeCookie) // the auth service must not answer with tokens a script can read
	}
	for _, c := range x.policy.claims {
		if value := x.claim(c.claim); value != "" {
			x.set(h, c.header, value)
		} else {
			delete(h, c.header)
		}
	}
}

// claim is the value of one claim as a header can carry it.
func (x *exchange) claim(name string) string {
	switch name {
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

// isBearer reports whether a header says "Bearer raw" already, which is the usual case.
func isBearer(value, raw string) bool {
	const scheme = "Bearer "
	return len(value) == len(scheme)+len(raw) && value[:len(scheme)] == scheme && value[len(scheme):] == raw
}

// edit changes a header: remove, set, add. The names are canonical.
func (x *exchange) edit(h http.Header, e *routing.HeaderEdit) {
	for _, name := range e.Remove {
		delete(h, name)
	}
	for _, f := range e.Set {
		x.set(h, f.Name, f.Value)
	}
	for _, f := range e.Add {
		h[f.Name] = append(h[f.Name], f.Value)
	}
}
