package ledger

import (
	"slices"

	"cloakroom.dev/libs/resource"
)

// Report takes in what a service says about objects and reports whether anything it said was news. What is said about an
// unknown object, or about a version that is not in force, is dropped.
func (l *Ledger) Report(statuses []resource.Status) (news bool) {
	for _, s := range statuses {
		e := l.entries[s.Kind+"/"+s.Name]
		if e == nil || e.object == nil || s.Generation != e.serving {
			continue
		}
		before := e.conditions
		e.reported = s
		e.settle(l.now())
		news = news || !slices.Equal(before, e.conditions)
	}
	return news
}

// Records returns what is known of every object, sorted by kind and name.
func (l *Ledger) Records() []resource.Record {
	return l.records(func(*entry) bool { return true })
}

// Waiting returns the records of boot objects whose change, or whose removal, waits for the next start.
func (l *Ledger) Waiting() []resource.Record {
	return l.records(func(e *entry) bool { return e.refusal == "" && (e.pending || e.missing) })
}

func (l *Ledger) records(which func(*entry) bool) []resource.Record {
	all := make([]resource.Record, 0, len(l.entries))
	for _, id := range l.ids() {
		e := l.entries[id]
		if !which(e) {
			continue
		}
		all = append(all, resource.Record{
			Kind: e.kind, Name: e.name, File: e.file, Line: e.line, Generation: e.observed(), Serving: e.inService(),
			Conditions: slices.Clone(e.conditions), Findings: slices.Clone(e.findings),
		})
	}
	return all
}

// Strays returns the problems that belong to no object that is known by name.
func (l *Ledger) Strays() []resource.Finding { return slices.Clone(l.strays) }

// Empty reports whether the last look brought nothing, so that everything known was kept.
func (l *Ledger) Empty() bool { return l.empty }

// Counts returns how many objects' present content is accepted and how many are refused, strays included.
func (l *Ledger) Counts() (accepted, rejected int) {
	for _, e := range l.entries {
		if e.refusal == "" {
			accepted++
		} else {
			rejected++
		}
	}
	return accepted, rejected + len(l.strays)
}

// Findings returns everything wrong, in the order of files and lines.
func (l *Ledger) Findings() []resource.Finding {
	all := slices.Clone(l.strays)
	for _, id := range l.ids() {
		e := l.entries[id]
		if e.refusal != reasonObscured { // its stray says it already
			all = append(all, e.findings...)
		}
	}
	slices.SortStableFunc(all, resource.Finding.Compare)
	return all
}
