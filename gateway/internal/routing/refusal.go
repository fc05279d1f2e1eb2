package routing

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/fault"
)

// Refusal is how the gateway's own refusals look on a Route, for clients of another contract. It is immutable.
type Refusal struct {
	ContentType string
	parts       []string // text and placeholders in turn, text first
}

// Told is what a refusal says.
type Told struct {
	Code, Title, Detail string
	Status              int
	RequestID           string
	Fields              []fault.Field
}

// Fill fills the template in. What it puts in is escaped: no detail can end a string.
func (f *Refusal) Fill(t Told) []byte {
	var b strings.Builder
	for i, part := range f.parts {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		b.WriteString(placeholders[part](t))
	}
	b.WriteByte('\n')
	return []byte(b.String())
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

var placeholders = map[string]func(Told) string{
	"{code}":       func(t Told) string { return inString(t.Code) },
	"{title}":      func(t Told) string { return inString(t.Title) },
	"{detail}":     func(t Told) string { return inString(t.sentence()) },
	"{status}":     func(t Told) string { return strconv.Itoa(t.Status) },
	"{request_id}": func(t Told) string { return inString(t.RequestID) },
}

// sentence is the detail: what is wrong with the first field says more than that something is.
func (t Told) sentence() string {
	switch {
	case len(t.Fields) > 0:
		return t.Fields[0].Field + ": " + t.Fields[0].Detail
	case t.Detail != "":
		return t.Detail
	default:
		return t.Title
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
	r := &Refusal{ContentType: spec.ContentType}
	if r.ContentType == "" {
		r.ContentType = "application/json"
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
	sample := r.Fill(Told{Code: "A", Title: `"`, Detail: `\"`, Status: 418, RequestID: "1"})
	var object map[string]any
	if err := json.Unmarshal(sample, &object); err != nil {
		f.reject(at, "is not a JSON object once filled in: %v", err)
		return nil
	}
	return r
}
