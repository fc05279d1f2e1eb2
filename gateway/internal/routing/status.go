package routing

import (
	"fmt"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
)

// finding is what compiling one resource brought to light; nothing found means all of it serves.
type finding struct {
	rejected    []string // what the schema could not see: the present content is not served at all
	unresolved  []string // references that lead nowhere: their rules answer 503
	overridden  []string // matches that an older Route has
	matches     int      // how many matches there are to override
	fallback    int64    // generation that is served instead of rejected content, when hasFallback
	hasFallback bool
}

// maxMessageBytes keeps a condition readable, and far below what the API server takes.
const maxMessageBytes = 1024

// status says how the resource fares. Whether it was accepted is its source's to say.
func (f *finding) status(o resource.Object) resource.Status {
	switch {
	case len(f.rejected) > 0:
		return resource.NotProgrammed(o, v1alpha1.ReasonInvalid, message(append(f.rejected, f.instead())))
	case len(f.unresolved) > 0:
		return resource.UnresolvedRefs(o, message(append(f.unresolved, "these rules answer 503")))
	case len(f.overridden) > 0 && len(f.overridden) >= f.matches:
		return resource.NotProgrammed(o, v1alpha1.ReasonOverridden, message(f.overridden))
	case len(f.overridden) > 0:
		return resource.NotProgrammed(o, v1alpha1.ReasonConflicted, message(append(f.overridden, "the other matches serve")))
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

func (f *finding) reject(format string, args ...any) {
	f.rejected = append(f.rejected, fmt.Sprintf(format, args...))
}

func message(lines []string) string {
	text := strings.Join(lines, "; ")
	if len(text) > maxMessageBytes {
		text = strings.ToValidUTF8(text[:maxMessageBytes-3], "") + "..."
	}
	return text
}
