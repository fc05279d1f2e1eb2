package authsvc

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync/atomic"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	"cloakroom.dev/auth-svc/internal/adapter/httpapi"
	"cloakroom.dev/auth-svc/internal/identity"
)

// livePolicy is the SessionPolicies that serve: the one of everybody, and those of dialects. They change while the service
// runs; when an object goes away, its last version stays.
type livePolicy struct {
	boot    *v1alpha1.AuthConfig
	source  resource.Source
	log     *slog.Logger
	current atomic.Pointer[map[string]identity.Policy] // by name; replaced as a whole
	cookies atomic.Pointer[httpapi.CookiePolicy]
}

// loadPolicy reads the policy to start with. It fails when the object that AuthConfig names is not there.
func loadPolicy(ctx context.Context, boot *v1alpha1.AuthConfig, deps Deps) (*livePolicy, error) {
	snapshot, err := deps.Source.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load resources: %w", err)
	}
	p := &livePolicy{boot: boot, source: deps.Source, log: deps.Log}
	p.current.Store(&map[string]identity.Policy{})
	p.apply(ctx, snapshot)
	if missing := p.missing(func(name string) bool { _, ok := p.named(name); return ok }); missing != "" {
		return nil, fmt.Errorf("there is no accepted SessionPolicy %q, which AuthConfig %q names", missing, boot.Name)
	}
	return p, nil
}

func (p *livePolicy) name() string { return string(p.boot.Spec.SessionPolicyRef.Name) }

func (p *livePolicy) get() identity.Policy { return (*p.current.Load())[p.name()] }

// named finds a policy that AuthConfig names.
func (p *livePolicy) named(name string) (identity.Policy, bool) {
	found, ok := (*p.current.Load())[name]
	return found, ok
}

// algorithms are what tokens of any of the policies are signed with.
func (p *livePolicy) algorithms() (list []string) {
	for _, name := range policyNames(p.boot) {
		if policy, ok := p.named(name); ok {
			list = append(list, policy.Algorithm)
		}
	}
	return list
}

// policyNames are the SessionPolicies that an AuthConfig names, that of everybody first.
func policyNames(boot *v1alpha1.AuthConfig) []string {
	names := []string{string(boot.Spec.SessionPolicyRef.Name)}
	for _, d := range boot.Spec.Dialects {
		if name := string(d.SessionPolicyRef.Name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// missing is the first name nothing is found for, or "".
func (p *livePolicy) missing(found func(name string) bool) string {
	for _, name := range policyNames(p.boot) {
		if !found(name) {
			return name
		}
	}
	return ""
}

func (p *livePolicy) getCookies() httpapi.CookiePolicy { return *p.cookies.Load() }

// run follows the source until ctx ends.
func (p *livePolicy) run(ctx context.Context) error {
	return p.source.Watch(ctx, func(s *resource.Snapshot) { p.apply(ctx, s) })
}

// apply takes the policy of a snapshot into use and reports how the service's objects fare.
func (p *livePolicy) apply(ctx context.Context, s *resource.Snapshot) {
	var statuses []resource.Status
	names, last := policyNames(p.boot), *p.current.Load()
	next := maps.Clone(last)
	for _, object := range resource.All[*v1alpha1.SessionPolicy](s) {
		if !slices.Contains(names, object.Name) {
			statuses = append(statuses, resource.NotProgrammed(object, v1alpha1.ReasonOverridden, "this auth service follows another SessionPolicy"))
			continue
		}
		if object.Name == p.name() {
			cookies := compileCookies(object.Spec.Cookies)
			p.cookies.Store(&cookies)
		}
		next[object.Name] = compile(object.Spec)
		if before, known := last[object.Name]; known && before != next[object.Name] {
			p.log.InfoContext(ctx, "session policy changed", "name", object.Name, "digest", s.Digest)
		}
		statuses = append(statuses, resource.Programmed(object))
	}
	p.current.Store(&next)
	gone := p.missing(func(name string) bool { _, ok := resource.Named[*v1alpha1.SessionPolicy](s, name); return ok })
	for _, boot := range resource.All[*v1alpha1.AuthConfig](s) {
		statuses = append(statuses, p.bootStatus(boot, gone))
	}
	if err := p.source.Report(ctx, statuses); err != nil && ctx.Err() == nil {
		p.log.WarnContext(ctx, "status of resources can't be reported", "error", err.Error())
	}
}

func (p *livePolicy) bootStatus(boot *v1alpha1.AuthConfig, gone string) resource.Status {
	switch {
	case boot.Name != p.boot.Name || !reflect.DeepEqual(boot.Spec, p.boot.Spec):
		return resource.NotProgrammed(boot, v1alpha1.ReasonRestartRequired, "the change takes effect at the next start")
	case gone != "":
		return resource.UnresolvedRefs(boot, fmt.Sprintf("SessionPolicy %q is gone; its last version serves on", gone))
	default:
		return resource.Programmed(boot)
	}
}

// Check finds what no schema can: an AuthConfig whose policy is not there.
func Check(s *resource.Snapshot) (findings []resource.Finding) {
	for _, boot := range resource.All[*v1alpha1.AuthConfig](s) {
		name := string(boot.Spec.SessionPolicyRef.Name)
		if _, found := resource.Named[*v1alpha1.SessionPolicy](s, name); !found {
			findings = append(findings, resource.Finding{
				Kind: v1alpha1.KindAuthConfig, Name: boot.Name, Field: "spec.sessionPolicyRef.name",
				Message: fmt.Sprintf("there is no SessionPolicy %q", name),
			})
		}
		findings = append(findings, checkDialects(s, boot)...)
		for i, d := range boot.Spec.Dialects {
			if _, found := resource.Named[*v1alpha1.SessionPolicy](s, string(d.SessionPolicyRef.Name)); !found {
				findings = append(findings, resource.Finding{
					Kind: v1alpha1.KindAuthConfig, Name: boot.Name, Field: fmt.Sprintf("spec.dialects[%d].sessionPolicyRef.name", i),
					Message: fmt.Sprintf("there is no SessionPolicy %q", d.SessionPolicyRef.Name),
				})
			}
		}
	}
	return findings
}

func compile(spec v1alpha1.SessionPolicySpec) identity.Policy {
	return identity.Policy{
		Algorithm:    string(spec.Algorithm),
		AccessTTL:    spec.AccessTTL.Std(),
		RefreshTTL:   spec.RefreshTTL.Std(),
		ReuseWindow:  spec.ReuseWindow.Std(),
		IdleLife:     spec.IdleTimeout.Std(),
		AbsoluteLife: spec.AbsoluteLifetime.Std(),
		MaxSessions:  int(spec.MaxSessions),
		RefuseAtCap:  spec.Eviction == v1alpha1.RefuseNew,
		TellOfMoves:  spec.OnNewAddress == v1alpha1.TellNewAddress,
		MinPassword:  int(spec.Password.MinLength),
		MaxPassword:  int(spec.Password.MaxLength),
		Require:      classesOf(spec.Password.Require),

		MaxFailures:           int(spec.Lockout.MaxFailures),
		MaxFailuresPerAddress: int(spec.Lockout.MaxFailuresPerAddress),
		FailureWindow:         spec.Lockout.Window.Std(),
		LockDuration:          spec.Lockout.Duration.Std(),
	}
}

func compileCookies(spec v1alpha1.SessionCookies) httpapi.CookiePolicy {
	p := httpapi.CookiePolicy{Strict: spec.SameSite == v1alpha1.SameSiteStrict}
	for _, origin := range spec.TrustedOrigins {
		p.TrustedOrigins = append(p.TrustedOrigins, originOf(string(origin)))
	}
	return p
}

func classesOf(names []v1alpha1.PasswordClass) (set identity.Classes) {
	for _, name := range names {
		set |= map[v1alpha1.PasswordClass]identity.Classes{
			v1alpha1.PasswordUpper: identity.ClassUpper, v1alpha1.PasswordLower: identity.ClassLower,
			v1alpha1.PasswordDigit: identity.ClassDigit, v1alpha1.PasswordSpecial: identity.ClassSpecial,
		}[name]
	}
	return set
}
