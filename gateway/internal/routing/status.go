package routing

import (
	"fmt"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
)

// finding is what compiling one resource brought to light; nothing found means all of it serves.
type finding struct {
	rejected    []flaw // what the schema could not see: the present content is not served at all
	unresolved  []flaw // references that lead nowhere: their rules answer 503
	overridden  []flaw // matches that an older Route has
	matches     int    // how many matches there are to override
	fallback    int64  // generation that is served instead of rejected content, when hasFallback
	hasFallback bool
}

// flaw is one thing wrong, at a field.
type flaw struct{ field, message string }

func (f flaw) String() string { return f.field + ": " + f.message }

func (f *finding) reject(field, format string, args ...any) {
	f.rejected = append(f.rejected, flaw{field, fmt.Sprintf(format, args...)})
}

// status says how the resource fares. Whether it was accepted is its source's to say.
func (f *finding) status(o resource.Object) resource.Status {
	switch {
	case len(f.rejected) > 0:
		return resource.NotProgrammed(o, v1alpha1.ReasonInvalid, message(f.rejected, f.instead()))
	case len(f.unresolved) > 0:
		return resource.UnresolvedRefs(o, message(f.unresolved, "these rules answer 503"))
	case len(f.overridden) > 0 && len(f.overridden) >= f.matches:
		return resource.NotProgrammed(o, v1alpha1.ReasonOverridden, message(f.overridden, "nothing of it is served"))
	case len(f.overridden) > 0:
		return resource.NotProgrammed(o, v1alpha1.ReasonConflicted, message(f.overridden, "the other matches serve"))
	default:
		return resource.Programmed(o)
	}
}

func (f *finding) instead() string {
	if f.hasFallback {
		return fmt.Sprintf("serving generation %d", f.fallback)
	}
	return "what it claims answers 503"
}

// findings lists everything wrong, for a person who is about to edit the resource.
func (f *finding) findings(kind, name string) []resource.Finding {
	var all []resource.Finding
	for _, list := range [][]flaw{f.rejected, f.unresolved, f.overridden} {
		for _, flaw := range list {
			all = append(all, resource.Finding{Kind: kind, Name: name, Field: flaw.field, Message: flaw.message})
		}
	}
	return all
}

// maxMessageBytes keeps a condition readable, and far below what the API server takes.
const maxMessageBytes = 1024

func message(flaws []flaw, consequence string) string {
	lines := make([]string, 0, len(flaws)+1)
	for _, f := range flaws {
		lines = append(lines, f.String())
	}
	text := strings.Join(append(lines, consequence), "; ")
	if len(text) > maxMessageBytes {
		text = strings.ToValidUTF8(text[:maxMessageBytes-3], "") + "..."
	}
	return text
}
