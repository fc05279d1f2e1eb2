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
	c := newCompiler(boot, s, last)
	statuses := make([]resource.Status, len(c.reviewed))
	for i, r := range c.reviewed {
		statuses[i] = r.finding.status(r.object)
	}
	return c.table, statuses
}

// Review returns what Compile would find wrong with a snapshot that passed the schemas.
func Review(s *resource.Snapshot) []resource.Finding {
	var all []resource.Finding
	for _, r := range newCompiler(v1alpha1.GatewayConfigSpec{}, s, nil).reviewed {
		all = append(all, r.finding.findings(r.kind, r.object.GetName())...)
	}
	return all
}

// compiler is the state of one Compile.
type compiler struct {
	last         good
	table        *Table
	maxBodyBytes int64

	tokens   map[string]*TokenPolicy
	limits   map[string][]*LimitRule
	stakes   []stake
	reviewed []reviewed
}

// reviewed is a resource and what was found.
type reviewed struct {
	kind    string
	object  resource.Object
	finding *finding
}

// good is the newest good version of each resource, for the next Compile to fall back on.
type good struct {
	routes map[string]*v1alpha1.Route
	tokens map[string]*v1alpha1.TokenPolicy
	limits map[string]*v1alpha1.RateLimitPolicy
}

func newCompiler(boot v1alpha1.GatewayConfigSpec, s *resource.Snapshot, last *Table) *compiler {
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
	c.routes(resource.All[*v1alpha1.Route](s), resource.Broken[*v1alpha1.Route](s))
	c.table.build(c.resolve())
	return c
}

func newGood() good {
	return good{map[string]*v1alpha1.Route{}, map[string]*v1alpha1.TokenPolicy{}, map[string]*v1alpha1.RateLimitPolicy{}}
}

// review begins a finding about a resource.
func (c *compiler) review(kind string, o resource.Object) *finding {
	f := &finding{}
	c.reviewed = append(c.reviewed, reviewed{kind, o, f})
	return f
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
