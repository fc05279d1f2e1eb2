package routing

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/problem"
)

// Refusal is how the gateway's own refusals look on a Route, for clients of another contract. It is immutable.
type Refusal struct {
	contentType string
	parts       []string // text and placeholders in turn, text first
}

// Shape fills the template in. What it puts in is escaped: no detail can end a string.
func (f *Refusal) Shape(_ *http.Request, doc problem.Document, _ error) problem.Refusal {
	var b strings.Builder
	for i, part := range f.parts {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		b.WriteString(placeholders[part](doc))
	}
	b.WriteByte('\n')
	return problem.Refusal{Status: doc.Status, ContentType: f.contentType, Body: []byte(b.String())}
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

var placeholders = map[string]func(problem.Document) string{
	"{code}":       func(d problem.Document) string { return inString(d.Code) },
	"{title}":      func(d problem.Document) string { return inString(d.Title) },
	"{detail}":     func(d problem.Document) string { return inString(told(d)) },
	"{status}":     func(d problem.Document) string { return strconv.Itoa(d.Status) },
	"{request_id}": func(d problem.Document) string { return inString(d.Instance) },
}

// told is one sentence: what is wrong with the first field says more than that something is.
func told(d problem.Document) string {
	switch {
	case len(d.Errors) > 0:
		return d.Errors[0].Field + ": " + d.Errors[0].Detail
	case d.Detail != "":
		return d.Detail
	default:
		return d.Title
	}
}

func inString(s string) string {
	quoted, _ := json.Marshal(s) // a string: it cannot fail
	return string(quoted[1 : len(quoted)-1])
}

// compileRefusal makes the template of a Route, or nil for problem documents.
func compileRefusal(spec *v1alpha1.RouteRefusals, f *finding) *Refusal {
	if spec == nil {
		return nil
	}
	const at = "spec.refusals.body"
	r := &Refusal{contentType: spec.ContentType}
	if r.contentType == "" {
		r.contentType = "application/json"
	}
	rest := 0
	for _, found := range placeholder.FindAllStringIndex(spec.Body, -1) {
		name := spec.Body[found[0]:found[1]]
		if placeholders[name] == nil {
			f.reject(at, "%s is not a placeholder; there are {code}, {title}, {detail}, {status} and {request_id}", name)
			return nil
		}
		r.parts, rest = append(r.parts, spec.Body[rest:found[0]], name), found[1]
	}
	r.parts = append(r.parts, spec.Body[rest:])
	// A detail with quotation marks in it must not be what first shows that the body is no JSON.
	sample := r.Shape(nil, problem.Document{Code: "A", Title: `"`, Detail: `\"`, Status: http.StatusTeapot, Instance: "1"}, nil)
	var object map[string]any
	if err := json.Unmarshal(sample.Body, &object); err != nil {
		f.reject(at, "is not a JSON object once filled in: %v", err)
		return nil
	}
	return r
}
