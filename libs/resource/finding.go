package resource

import (
	"cmp"
	"fmt"
	"strings"
)

// Finding is one thing wrong with the configuration, at the place a person has to edit.
type Finding struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // from 1; 0 when it is about the whole file
	Kind    string `json:"kind,omitempty"`
	Name    string `json:"name,omitempty"`
	Field   string `json:"field,omitempty"` // path: spec.rules[0].auth
	Message string `json:"message"`
}

// String is `file:line: Kind/name: field: message`, without the parts that are unknown.
func (f Finding) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d", f.Line)
		}
		b.WriteString(": ")
	}
	if f.Kind != "" {
		fmt.Fprintf(&b, "%s/%s: ", f.Kind, f.Name)
	}
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	b.WriteString(f.Message)
	return b.String()
}

// Compare orders findings by file, line and field.
func (f Finding) Compare(g Finding) int {
	return cmp.Or(strings.Compare(f.File, g.File), cmp.Compare(f.Line, g.Line), strings.Compare(f.Field, g.Field))
}
