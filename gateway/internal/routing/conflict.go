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
	field   string // where its match stands
	finding *finding
	refused bool // its Route was never accepted
}

// routes compiles every Route: the present version if it is good, else the last good one, else a refusal.
func (c *compiler) routes(list, broken []*v1alpha1.Route) {
	for _, r := range list {
		f := c.review(v1alpha1.KindRoute, r)
		own := c.compileRoute(r, f)
		before := c.last.routes[r.Name]
		switch {
		case len(f.rejected) == 0:
			c.table.kept.routes[r.Name] = r
			c.serve(own)
		case before != nil:
			f.fallback, f.hasFallback = before.Generation, true
			c.table.kept.routes[r.Name] = before
			// It was good then; references that have gone since make its rules answer 503, as they do for everyone.
			c.serve(c.compileRoute(before, &finding{}))
		default:
			c.refuse(own)
		}
	}
	for _, r := range broken {
		c.refuse(c.compileRoute(r, &finding{}))
	}
}

// serve puts the claims of a Route up for the table.
func (c *compiler) serve(own []stake) {
	c.stakes = append(c.stakes, own...)
	for _, s := range own {
		if n := len(c.table.rules); n == 0 || c.table.rules[n-1] != s.rule {
			c.table.rules = append(c.table.rules, s.rule)
		}
	}
}

// refuse does so for a Route that was never accepted: 503 for whatever of its matches can be read.
func (c *compiler) refuse(own []stake) {
	for i := range own {
		own[i].refused = true
		own[i].rule.Refused = "the Route was never accepted"
	}
	c.serve(own)
}

// resolve keeps one claim of each set that asks the same of a request: the older Route's, then the first by name, then the
// first in its Route. The others are reported on their Routes, which serve what else they claim. A Route that was never
// accepted never takes a claim from one that was.
func (c *compiler) resolve() []*claim {
	slices.SortStableFunc(c.stakes, func(a, b stake) int {
		return cmp.Or(compareBool(a.refused, b.refused), compareClaims(a.claim, b.claim))
	})
	owners := make(map[string]*claim, len(c.stakes))
	kept := make([]*claim, 0, len(c.stakes))
	for _, s := range c.stakes {
		id := s.identity()
		if owner, taken := owners[id]; taken {
			s.finding.overridden = append(s.finding.overridden, flaw{s.field, s.lostTo(owner)})
			continue
		}
		owners[id] = s.claim
		kept = append(kept, s.claim)
	}
	return kept
}

func (s stake) lostTo(owner *claim) string {
	if s.rule.Route == owner.rule.Route {
		return fmt.Sprintf("%s is there already, in rule %s", s, owner.rule.Name)
	}
	return fmt.Sprintf("%s belongs to rule %s of Route %s, which is older or first by name", s, owner.rule.Name, owner.rule.Route)
}

// compareBool puts false first.
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
