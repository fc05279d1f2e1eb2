package cli

import (
	"fmt"
	"strconv"
	"strings"

	"cloakroom.dev/gateway/internal/routing"
)

// fact is one thing to know about a rule, in words.
type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// facts says all that a rule does, in a fixed order. What a rule does not do is left out.
func facts(r *routing.Rule) []fact {
	all := []fact{{"rule", ruleName(r)}, {"access", access(r)}}
	add := func(name, value string) {
		if value != "" {
			all = append(all, fact{name, value})
		}
	}
	var permissions, limits, backends []string
	for _, p := range r.Require {
		permissions = append(permissions, p.String())
	}
	for _, l := range r.Limits {
		limits = append(limits, limitText(l))
	}
	for _, b := range r.Backends {
		text := b.Upstream
		if len(r.Backends) > 1 {
			text += " " + strconv.FormatInt(b.Weight, 10)
		}
		backends = append(backends, text)
	}
	add("permissions", strings.Join(permissions, ", "))
	add("limits", strings.Join(limits, ", "))
	add("forward", strings.Join(backends, ", "))
	add("rewrite", rewriteText(r.Path))
	if r.MaxBodyBytes > 0 {
		add("body", fmt.Sprintf("at most %d bytes", r.MaxBodyBytes))
	}
	add("timeouts", timeoutText(r.Timeouts))
	add("request headers", editText(r.Request))
	add("answer headers", editText(r.Answer))
	add("cors", corsText(r.CORS))
	return all
}

func ruleName(r *routing.Rule) string { return fmt.Sprintf("Route %s, rule %s", r.Route, r.Name) }

func access(r *routing.Rule) string {
	switch {
	case r.Refused != "":
		return "nobody: " + r.Refused
	case r.Auth.Anonymous():
		return "everyone: " + r.Auth.AnonymousReason
	default:
		return "callers with a token of TokenPolicy " + r.Auth.Policy.Name
	}
}

var keyNames = map[routing.KeyKind]string{
	routing.ByClient: "client", routing.BySubject: "subject", routing.ByAPIKey: "API key", routing.ByHeader: "header",
}

func limitText(l *routing.LimitRule) string {
	text := fmt.Sprintf("%s %d in %s, %d at once, by %s", l.Label(), l.Limit, l.Window, l.Burst, keyNames[l.By])
	if l.By == routing.ByHeader {
		text += " " + l.Header
	}
	if l.Shadow {
		text += ", shadow"
	}
	return text
}

func rewriteText(w routing.Rewrite) string {
	var parts []string
	switch {
	case w.FullPath != "":
		parts = append(parts, "path to "+w.FullPath)
	case w.ReplacePrefix:
		parts = append(parts, "prefix to "+w.Prefix)
	}
	if w.Hostname != "" {
		parts = append(parts, "host to "+w.Hostname)
	}
	return strings.Join(parts, ", ")
}

func timeoutText(t routing.Timeouts) string {
	var parts []string
	if t.Request > 0 {
		parts = append(parts, "request "+t.Request.String())
	}
	if t.ResponseHeader > 0 {
		parts = append(parts, "response header "+t.ResponseHeader.String())
	}
	return strings.Join(parts, ", ")
}

func editText(e routing.HeaderEdit) string {
	var parts []string
	for _, name := range e.Remove {
		parts = append(parts, "remove "+name)
	}
	for _, h := range e.Set {
		parts = append(parts, "set "+h.Name+": "+h.Value)
	}
	for _, h := range e.Add {
		parts = append(parts, "add "+h.Name+": "+h.Value)
	}
	return strings.Join(parts, ", ")
}

func corsText(c *routing.CORS) string {
	if c == nil {
		return ""
	}
	text := strings.Join(c.Origins, " ")
	if c.AnyOrigin {
		text = "any origin"
	}
	text += "; " + strings.Join(c.Methods, " ")
	if len(c.Headers) > 0 {
		text += "; headers " + strings.Join(c.Headers, " ")
	}
	if c.Credentials {
		text += "; with cookies"
	}
	return text
}
