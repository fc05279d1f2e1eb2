// Package ledger decides, object by object, what a change of configuration means.
//
// Each look at the source is applied to what is known: an object whose content changed is judged; accepted, it is served
// from now on; refused, its last accepted version stays in force and the status says so. Boot kinds keep the version the
// process started with. Where a look can't say whether an object still exists (its file can't be read), the object stays.
//
// The ledger knows no files, clocks or goroutines; package dir brings them.
package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/resource/manifest"
)

// Look is what one reading of the source brought.
type Look struct {
	Documents []*manifest.Document

	// Unreadable are whole files that could not be read, each with its File.
	Unreadable []resource.Finding
}

// Empty reports whether the look brought nothing at all.
func (l Look) Empty() bool { return len(l.Documents) == 0 && len(l.Unreadable) == 0 }

// Ledger holds what is known of every object. It is not safe for concurrent use.
type Ledger struct {
	admitter *admit.Admitter
	now      func() time.Time
	entries  map[string]*entry
	strays   []resource.Finding // problems that belong to no known object
	started  bool               // the first look is over: boot kinds are frozen
	empty    bool

	accepted, broken []resource.Object
	snapshot         *resource.Snapshot
}

// New returns an empty ledger.
func New(a *admit.Admitter, now func() time.Time) *Ledger {
	return &Ledger{admitter: a, now: now, entries: map[string]*entry{}, snapshot: resource.NewSnapshot(nil, nil)}
}

// Snapshot returns the present snapshot.
func (l *Ledger) Snapshot() *resource.Snapshot { return l.snapshot }

// Apply takes in a look and reports whether the snapshot is another one now. An empty look after the first changes
// nothing but is remembered, see Empty. The end of ctx doesn't stop it: half a verdict would be a wrong one.
func (l *Ledger) Apply(ctx context.Context, look Look) (changed bool) {
	if l.empty = look.Empty(); l.empty && l.started {
		return false
	}
	l.strays = slices.Clone(look.Unreadable)
	seen, order := group(look.Documents)
	for _, d := range seen[""] {
		l.strays = append(l.strays, *d.Problem)
	}
	l.judge(context.WithoutCancel(ctx), l.renewed(seen, order), seen)
	l.absent(seen)
	l.started = l.started || !look.Empty()
	return l.compose()
}

// group sorts documents by the object they are about; "" collects those that don't say.
func group(documents []*manifest.Document) (seen map[string][]*manifest.Document, order []string) {
	seen = map[string][]*manifest.Document{}
	for _, d := range documents {
		id := ""
		if d.Known() {
			id = d.ID()
		}
		if seen[id] == nil {
			order = append(order, id)
		}
		seen[id] = append(seen[id], d)
	}
	return seen, order
}

// renewed takes note of where every object stands and returns those whose content has to be judged.
func (l *Ledger) renewed(seen map[string][]*manifest.Document, order []string) []string {
	var fresh []string
	for _, id := range order {
		documents := seen[id]
		if id == "" {
			continue
		}
		e := l.entries[id]
		if e == nil {
			e = &entry{kind: documents[0].Kind, name: documents[0].Name}
			l.entries[id] = e
		}
		e.file, e.line, e.missing = documents[0].File, documents[0].Line, false
		if e.renew(hash(documents), documents[0].Generation) {
			fresh = append(fresh, id)
			continue
		}
		e.relocate(documents)
		e.settle(l.now())
	}
	return fresh
}

// judge gives each of these objects its verdict.
func (l *Ledger) judge(ctx context.Context, fresh []string, seen map[string][]*manifest.Document) {
	kinds := map[string]bool{}
	for _, id := range fresh {
		kinds[l.entries[id].kind] = true
	}
	l.admitter.Warm(slices.Collect(maps.Keys(kinds))...)
	for _, id := range fresh {
		e, documents := l.entries[id], seen[id]
		verdicts := make([]admit.Verdict, len(documents))
		for i, d := range documents {
			if d.Problem != nil {
				continue
			}
			v, err := l.admitter.Admit(ctx, d.Kind, d.Raw, e.content)
			if err != nil { // our own fault: nothing we can't judge is served
				v.Problems = append(v.Problems, admit.Problem{Message: err.Error()})
			}
			if d.FilledIn != nil {
				v.Problems = slices.DeleteFunc(v.Problems, func(p admit.Problem) bool { return p.Message == admit.UnknownField && d.FilledIn(p.Field) })
			}
			verdicts[i] = v
		}
		e.decide(documents, verdicts, l.started)
		e.settle(l.now())
	}
}

// absent deals with objects the look didn't bring. One whose file holds something unreadable may still be there.
func (l *Ledger) absent(seen map[string][]*manifest.Document) {
	for id, e := range l.entries {
		if seen[id] != nil {
			continue
		}
		switch unreadable, stray := l.strayOf(e.file); {
		case unreadable:
			e.obscured(stray)
			e.settle(l.now())
		case v1alpha1.Boot(e.kind) && e.object != nil:
			e.missing, e.findings, e.refusal = true, nil, ""
			e.settle(l.now())
		default:
			delete(l.entries, id)
		}
	}
}

func (l *Ledger) strayOf(file string) (bool, resource.Finding) {
	for _, f := range l.strays {
		if f.File == file {
			return true, f
		}
	}
	return false, resource.Finding{}
}

// Removes reports whether applying the look would take an object away, so that a careful caller can look again first.
func (l *Ledger) Removes(look Look) bool {
	if look.Empty() {
		return false
	}
	seen, _ := group(look.Documents)
	for id := range l.entries {
		if seen[id] == nil {
			return true
		}
	}
	return false
}

// compose makes the snapshot anew when it would hold another object. Objects are compared by identity: a new label makes
// a new generation, which somebody must report on, though it makes no new digest.
func (l *Ledger) compose() bool {
	var accepted, broken []resource.Object
	for _, id := range l.ids() {
		e := l.entries[id]
		if e.object != nil {
			accepted = append(accepted, e.object)
		} else {
			broken = append(broken, e.broken...)
		}
	}
	if slices.Equal(accepted, l.accepted) && slices.Equal(broken, l.broken) {
		return false
	}
	l.accepted, l.broken = accepted, broken
	l.snapshot = resource.NewSnapshot(accepted, broken)
	return true
}

func (l *Ledger) ids() []string {
	ids := make([]string, 0, len(l.entries))
	for id := range l.entries {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, strings.Compare)
	return ids
}

// hash names the content of an object's documents. What can't be decoded is named by its problem.
func hash(documents []*manifest.Document) [sha256.Size]byte {
	h := sha256.New()
	for _, d := range documents {
		if d.Problem != nil {
			fmt.Fprintf(h, "problem %s %s\n", d.Problem.Field, d.Problem.Message)
			continue
		}
		raw, err := json.Marshal(d.Raw)
		if err != nil {
			raw = []byte(err.Error())
		}
		fmt.Fprintf(h, "content %d\n", len(raw))
		h.Write(raw)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
