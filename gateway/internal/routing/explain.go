package routing

import (
	"fmt"
	"slices"
	"strings"
)

// Candidate is a match whose host and path fit a request.
type Candidate struct {
	Rule  *Rule
	Match string // in words: "GET any host paths below /v1"
	Lost  string // why it does not take the request; empty for the one that does
}

// Explain decides as Match does and says what became of each candidate, the best first.
func (t *Table) Explain(r *Request) (Decision, []Candidate) {
	q := query{Request: r}
	var winner *claim
	var all []Candidate
	for c := range t.candidates(r) {
		candidate := Candidate{Rule: c.rule, Match: c.String()}
		switch m, field := c.check(&q); m {
		case missMethod:
			candidate.Lost = fmt.Sprintf("the method is %s, not %s", r.Method, c.method)
		case missHeader:
			candidate.Lost = fmt.Sprintf("the header %s does not hold", field)
		case missQuery:
			candidate.Lost = fmt.Sprintf("the query parameter %s does not hold", field)
		default:
			if winner == nil {
				winner = c
			} else {
				candidate.Lost = lostTo(winner, c)
			}
		}
		all = append(all, candidate)
	}
	return t.Match(r), all
}

// lostTo says at which step of precedence b lost to a.
func lostTo(a, b *claim) string {
	for _, step := range precedence {
		if step.cmp(a, b) != 0 {
			return step.lost
		}
	}
	return "it asks the same"
}

// Claim is one match of a rule under one hostname, in words.
type Claim struct {
	Match string
	Rule  *Rule
}

// Claims lists everything that is matched, sorted by words.
func (t *Table) Claims() []Claim {
	var all []Claim
	for _, h := range t.hosts() {
		h.each(func(c *claim) { all = append(all, Claim{c.String(), c.rule}) })
	}
	slices.SortFunc(all, func(a, b Claim) int { return strings.Compare(a.Match, b.Match) })
	return all
}
