package routing

import (
	"fmt"
	"net/textproto"
	"slices"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
)

// upstreams are the names a backend can have: the services GatewayConfig knows.
var upstreams = map[string]bool{"auth": true, "files": true}

func compileBackends(rule *Rule, spec *v1alpha1.RouteRule, at string, f *finding) {
	for i, b := range spec.Backends {
		switch {
		case !upstreams[b.Name]:
			rule.unresolved(f, fmt.Sprintf("%s.backends[%d].name", at, i), "upstream", b.Name)
		case b.Weight > 0:
			rule.Backends = append(rule.Backends, Backend{Upstream: b.Name, Weight: int64(b.Weight)})
		}
	}
	if len(rule.Backends) == 0 && rule.Refused == "" {
		f.reject(at+".backends", "at least one needs a weight above 0")
	}
}

func compileRewrite(rule *Rule, spec *v1alpha1.RouteRule, at string, f *finding) {
	if spec.Rewrite == nil {
		return
	}
	rule.Path.Hostname = string(spec.Rewrite.Hostname)
	path := spec.Rewrite.Path
	if path == nil {
		return
	}
	to := path.ReplaceFullPath
	if path.Type == v1alpha1.ReplacePrefixMatch {
		to = path.ReplacePrefixMatch
		rule.Path.ReplacePrefix, rule.Path.Prefix = true, to
		for _, m := range spec.Matches {
			if m.Path.Type != v1alpha1.PathPrefix {
				f.reject(at+".rewrite.path", "ReplacePrefixMatch needs every match to have path.type PathPrefix")
				break
			}
		}
	} else {
		rule.Path.FullPath = to
	}
	if !isCanonical(to) {
		f.reject(at+".rewrite.path", "%q is not a path a request can have", to)
	}
}

func compileHeaders(rule *Rule, spec *v1alpha1.RouteRule, at string, f *finding) {
	if spec.Headers == nil {
		return
	}
	rule.Request = compileEdit(spec.Headers.Request)
	rule.Answer = compileEdit(spec.Headers.Response)
	// The schema refuses the plain spellings; a service may well read X_User_Id as X-User-Id.
	var builtin Hygiene
	for _, list := range [][]Header{rule.Request.Set, rule.Request.Add} {
		for _, h := range list {
			if builtin.Identity(h.Name) || builtin.Forwarding(h.Name) {
				f.reject(at+".headers.request", "%s says who the caller is or where a request came from, and can't be set", h.Name)
			}
		}
	}
}

func compileEdit(changes *v1alpha1.HeaderChanges) HeaderEdit {
	var e HeaderEdit
	if changes == nil {
		return e
	}
	for _, name := range changes.Remove {
		e.Remove = append(e.Remove, textproto.CanonicalMIMEHeaderKey(string(name)))
	}
	e.Set, e.Add = compileFields(changes.Set), compileFields(changes.Add)
	return e
}

func compileFields(list []v1alpha1.Header) []Header {
	var out []Header
	for _, h := range list {
		out = append(out, Header{textproto.CanonicalMIMEHeaderKey(string(h.Name)), string(h.Value)})
	}
	return out
}

func compileCORS(spec *v1alpha1.CORS, at string, f *finding) *CORS {
	if spec == nil {
		return nil
	}
	if spec.AllowCredentials && slices.Contains(spec.AllowOrigins, "*") {
		f.reject(at+".cors", "allowCredentials with the origin * would let every page act as its visitor")
	}
	c := &CORS{Credentials: spec.AllowCredentials, MaxAge: spec.MaxAge.Std()}
	for _, o := range spec.AllowOrigins {
		if o == "*" {
			c.AnyOrigin = true
			continue
		}
		c.Origins = append(c.Origins, strings.ToLower(string(o)))
	}
	for _, m := range spec.AllowMethods {
		c.Methods = append(c.Methods, string(m))
	}
	for _, h := range spec.AllowHeaders {
		c.Headers = append(c.Headers, strings.ToLower(string(h)))
	}
	for _, h := range spec.ExposeHeaders {
		c.ExposeHeaders = append(c.ExposeHeaders, textproto.CanonicalMIMEHeaderKey(string(h)))
	}
	return c
}
