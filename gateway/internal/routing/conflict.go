package routing

import (
	"cmp"
	"fmt"
	"slices"

	"cloakroom.dev/libs/api/v1alpha1"
)

// stake is a claim on its way into the table.
type stake struct {
	*claim
	finding *finding // of its Route
	refused bool     // its Route was never accepted
}

// resolve keeps one claim of each set that asks the same of a request: the older Route's, then the first by name, then the
// first in its Route. The others are reported on their Routes, which serve what else they claim. A Route that was never
// accepted never takes a claim from one that was.
func (c *compiler) resolve() []*claim {
	slices.SortStableFunc(c.stakes, func(a, b stake) int {
		return cmp.Or(compareBool(a.refused, b.refused), less(a.claim, b.claim))
	})
	owners := make(map[string]*claim, len(c.stakes))
	kept := make([]*claim, 0, len(c.stakes))
	for _, s := range c.stakes {
		id := s.identity()
		if owner, taken := owners[id]; taken {
			s.finding.overridden = append(s.finding.overridden, fmt.Sprintf(
				"%s belongs to rule %s of Route %s, which is older or first by name", s, owner.rule.Name, owner.rule.Route))
			continue
		}
		owners[id] = s.claim
		kept = append(kept, s.claim)
	}
	return kept
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// routes compiles every Route: the present version if it is good, else the last good one, else a refusal. It returns the
// findings in the order of the list.
func (c *compiler) routes(list, broken []*v1alpha1.Route) []*finding {
	findings := make([]*finding, 0, len(list))
	for _, r := range list {
		f := &finding{}
		findings = append(findings, f)
		own := c.compileRoute(r, f)
		if len(f.rejected) == 0 {
			c.table.kept.routes[r.Name] = r
			c.serve(own, f)
			continue
		}
		if before := c.last.routes[r.Name]; before != nil {
			f.fallback, f.hasFallback = before.Generation, true
			c.table.kept.routes[r.Name] = before
			// It was good then; references that have gone since make its rules answer 503, as they do for everyone.
			c.serve(c.compileRoute(before, &finding{}), f)
			continue
		}
		c.refuse(own, f)
	}
	for _, r := range broken {
		c.refuse(c.compileRoute(r, &finding{}), &finding{})
	}
	return findings
}

// serve puts the claims of a Route up for the table.
func (c *compiler) serve(own []*claim, f *finding) { c.stake(own, f, false) }

// refuse does so for a Route that was never accepted: 503 for whatever of its matches can be read.
func (c *compiler) refuse(own []*claim, f *finding) {
	for _, cl := range own {
		cl.rule.Refused = "the Route was never accepted"
	}
	c.stake(own, f, true)
}

func (c *compiler) stake(own []*claim, f *finding, refused bool) {
	f.matches = len(own)
	for i, cl := range own {
		cl.order = i
		c.stakes = append(c.stakes, stake{cl, f, refused})
		if n := len(c.table.rules); n == 0 || c.table.rules[n-1] != cl.rule {
			c.table.rules = append(c.table.rules, cl.rule)
		}
	}
}
