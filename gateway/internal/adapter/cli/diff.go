package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/run"
)

const diffUsage = `Usage: gateway diff --config DIR [flags] CHANGED_DIR

Says what a gateway that runs with the resources of DIR would do otherwise if they became those of CHANGED_DIR: which
resources change, and what that means for requests. A changed resource that is refused keeps its last good version, as it
would in a running gateway.

Exit code: 0 nothing would change, 1 something would, 2 the two can't be compared.`

// difference is what diff prints.
type difference struct {
	From      string             `json:"from"`
	To        string             `json:"to"`
	Refused   []resource.Finding `json:"refused,omitempty"`
	Resources []resourceChange   `json:"resources,omitempty"`
	Requests  []requestChange    `json:"requests,omitempty"`
}

// The kinds of change.
const (
	added   = "added"
	removed = "removed"
	changed = "changed"
)

// requestChange is a match that is new, gone, or leads elsewhere.
type requestChange struct {
	Change string `json:"change"`
	Match  string `json:"match"`
	From   []fact `json:"from,omitempty"` // for changed: only what differs
	To     []fact `json:"to,omitempty"`
}

func diffCommand(ctx context.Context, args []string, io run.IO) error {
	fs := run.Flags("diff", diffUsage, io)
	config, output := fs.String("config", "", "folder of the resources in force"), format(fs)
	rest, err := parse(fs, args, 1)
	if err != nil {
		return err
	}
	if *config == "" {
		return fmt.Errorf("%w: --config is needed", run.ErrUsage)
	}
	if err := checkFormat(*output); err != nil {
		return err
	}
	d, err := compare(ctx, *config, rest[0])
	if err != nil {
		return unusable(err)
	}
	if *output == "json" {
		err = writeJSON(io.Stdout, d)
	} else {
		err = d.print(io.Stdout)
	}
	if err == nil && len(d.Refused)+len(d.Resources)+len(d.Requests) > 0 {
		err = run.ErrSilent
	}
	return err
}

// compare goes from one folder to the other in one state, the way a running gateway would.
func compare(ctx context.Context, from, to string) (difference, error) {
	schemas := admit.New()
	s, err := load(ctx, from, schemas)
	if err != nil {
		return difference{}, err
	}
	before, beforeTable := s.ledger.Snapshot(), s.table
	if err := s.apply(ctx, to); err != nil {
		return difference{}, err
	}
	// Boot kinds keep their version in a running gateway, so the wanted ones are read on their own.
	wanted, err := load(ctx, to, schemas)
	if err != nil {
		return difference{}, err
	}
	d := difference{From: before.Digest, To: s.ledger.Snapshot().Digest, Refused: s.ledger.Findings()}
	for _, f := range routing.Review(s.ledger.Snapshot()) {
		d.Refused = append(d.Refused, wanted.locate(f))
	}
	d.Resources = resourceChanges(before, wanted.ledger.Snapshot(), wanted.mentioned())
	d.Requests = requestChanges(beforeTable, s.table)
	return d, nil
}

// locate gives a finding its file and line.
func (s *state) locate(f resource.Finding) resource.Finding {
	for _, d := range s.look.Documents {
		if d.Kind == f.Kind && d.Name == f.Name {
			return d.Find(f.Field, f.Message)
		}
	}
	return f
}

// mentioned are the Kind/name of all documents, also of refused ones: a refused resource is not a removed one.
func (s *state) mentioned() map[string]bool {
	ids := map[string]bool{}
	for _, d := range s.look.Documents {
		ids[d.ID()] = true
	}
	return ids
}

func requestChanges(before, after *routing.Table) []requestChange {
	old, wanted := claimFacts(before), claimFacts(after)
	var all []requestChange
	for match, from := range old {
		to, still := wanted[match]
		switch from, to := differing(from, to); {
		case !still:
			all = append(all, requestChange{Change: removed, Match: match, From: old[match]})
		case len(from)+len(to) > 0:
			all = append(all, requestChange{changed, match, from, to})
		}
	}
	for match, to := range wanted {
		if _, known := old[match]; !known {
			all = append(all, requestChange{Change: added, Match: match, To: to})
		}
	}
	slices.SortFunc(all, func(a, b requestChange) int { return strings.Compare(a.Match, b.Match) })
	return all
}

func claimFacts(t *routing.Table) map[string][]fact {
	all := map[string][]fact{}
	for _, c := range t.Claims() {
		all[c.Match] = facts(c.Rule)
	}
	return all
}

// differing drops what both sides share.
func differing(a, b []fact) (onlyA, onlyB []fact) {
	without := func(list, other []fact) []fact {
		return slices.DeleteFunc(slices.Clone(list), func(f fact) bool { return slices.Contains(other, f) })
	}
	return without(a, b), without(b, a)
}

// print is the difference for people.
func (d difference) print(w io.Writer) error {
	var b strings.Builder
	for _, f := range d.Refused {
		fmt.Fprintf(&b, "refused: %s\n", f)
	}
	for _, r := range d.Resources {
		fmt.Fprintf(&b, "%s %s%s\n", signs[r.Change], r.Resource, r.note())
		for _, f := range r.Fields {
			fmt.Fprintf(&b, "    %s: %s -> %s\n", f.Field, f.From, f.To)
		}
	}
	for _, r := range d.Requests {
		fmt.Fprintf(&b, "%s %s\n", signs[r.Change], r.Match)
		for _, f := range r.From {
			fmt.Fprintf(&b, "    - %s: %s\n", f.Name, f.Value)
		}
		for _, f := range r.To {
			fmt.Fprintf(&b, "    + %s: %s\n", f.Name, f.Value)
		}
	}
	if b.Len() == 0 {
		b.WriteString("nothing would change\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var signs = map[string]string{added: "+", removed: "-", changed: "~"}

// note says when a change needs more than a reload.
func (r resourceChange) note() string {
	kind, _, _ := strings.Cut(r.Resource, "/")
	if v1alpha1.Boot(kind) {
		return " (takes effect at the next start)"
	}
	return ""
}
