package routing

import (
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
)

// Compile checks the resources of a snapshot against one another and makes a Table of them, with one Status a resource. It
// is a pure function of what this gateway was started with, the snapshot, and the table that was served last (nil at
// start), from which a resource that is wrong now keeps its last good version. It always returns a Table: what is wrong is
// refused on its own.
func Compile(boot v1alpha1.GatewayConfigSpec, s *resource.Snapshot, last *Table) (*Table, []resource.Status) {
	c := &compiler{
		table:        &Table{digest: s.Digest, kept: newGood()},
		maxBodyBytes: boot.Limits.MaxBodyBytes.Bytes(),
		tokens:       map[string]*TokenPolicy{},
		limits:       map[string][]*LimitRule{},
	}
	if last != nil {
		c.last = last.kept
	}
	c.tokenPolicies(resource.All[*v1alpha1.TokenPolicy](s))
	c.rateLimitPolicies(resource.All[*v1alpha1.RateLimitPolicy](s))
	c.table.hygiene = c.hygiene(boot.HeaderHygiene)

	routes := resource.All[*v1alpha1.Route](s)
	findings := c.routes(routes, resource.Broken[*v1alpha1.Route](s))
	c.table.build(c.resolve())
	for i, r := range routes {
		c.statuses = append(c.statuses, findings[i].status(r))
	}
	return c.table, c.statuses
}

// compiler is the state of one Compile.
type compiler struct {
	last         good
	table        *Table
	maxBodyBytes int64

	tokens   map[string]*TokenPolicy
	limits   map[string][]*LimitRule
	stakes   []stake
	statuses []resource.Status
}

// good is the newest good version of each resource, for the next Compile to fall back on.
type good struct {
	routes map[string]*v1alpha1.Route
	tokens map[string]*v1alpha1.TokenPolicy
	limits map[string]*v1alpha1.RateLimitPolicy
}

func newGood() good {
	return good{map[string]*v1alpha1.Route{}, map[string]*v1alpha1.TokenPolicy{}, map[string]*v1alpha1.RateLimitPolicy{}}
}

// hygiene joins the built-in names, the operator's, and every header a TokenPolicy fills from a claim: a client that could
// send one of those to a rule without that policy would be believed.
func (c *compiler) hygiene(config v1alpha1.HeaderHygiene) *Hygiene {
	var extra []string
	for _, name := range config.Strip {
		extra = append(extra, string(name))
	}
	for _, p := range c.table.policies {
		for _, ch := range p.Spec.ClaimHeaders {
			extra = append(extra, string(ch.Header))
		}
	}
	return NewHygiene(extra...)
}
