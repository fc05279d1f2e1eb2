package authsvc

import (
	"fmt"
	"net/http"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/adapter/dialect/medods"
	"cloakroom.dev/auth-svc/internal/adapter/dialect/restauthfiles"
	"cloakroom.dev/auth-svc/internal/adapter/dialect/siteworks"
	"cloakroom.dev/auth-svc/internal/adapter/dialect/trackit"
	"cloakroom.dev/auth-svc/internal/adapter/dialect/usermanagement"
)

// dialects are all the contracts of other systems that can be spoken.
var dialects = map[v1alpha1.DialectName]func(dialect.Deps) dialect.Surface{
	v1alpha1.DialectRestAuthFiles:  restauthfiles.New,
	v1alpha1.DialectMedods:         medods.New,
	v1alpha1.DialectUserManagement: usermanagement.New,
	v1alpha1.DialectTrackit:        trackit.New,
	v1alpha1.DialectSiteworks:      siteworks.New,
}

// keysStay is how long at least a key that signs no more stays published.
const keysStay = 7 * 24 * time.Hour

// checkDialects finds policies that a dialect can't keep: the refresh tokens of medods are JWTs, and worth nothing once the key
// that has signed them is gone.
func checkDialects(s *resource.Snapshot, boot *v1alpha1.AuthConfig) (findings []resource.Finding) {
	for i, d := range boot.Spec.Dialects {
		policy, found := resource.Named[*v1alpha1.SessionPolicy](s, string(d.SessionPolicyRef.Name))
		if d.Name != v1alpha1.DialectMedods || !found || policy.Spec.RefreshTTL.Std() <= keysStay {
			continue
		}
		findings = append(findings, resource.Finding{
			Kind: v1alpha1.KindAuthConfig, Name: boot.Name, Field: fmt.Sprintf("spec.dialects[%d].sessionPolicyRef.name", i),
			Message: fmt.Sprintf("refreshTTL of SessionPolicy %q must be at most 168h for medods: no longer does the key stay published that has signed its refresh tokens", policy.Name),
		})
	}
	return findings
}

// withDialects puts the dialects that AuthConfig names beside the service's own contract, each below its own prefix.
func withDialects(own http.Handler, boot *v1alpha1.AuthConfig, deps dialect.Deps) http.Handler {
	spoken := map[string]http.Handler{}
	for _, d := range boot.Spec.Dialects {
		speak, known := dialects[d.Name]
		if !known {
			continue // the schema lets no such name in
		}
		mine := deps
		mine.Name = string(d.Name)
		if d.SessionPolicyRef.Name != boot.Spec.SessionPolicyRef.Name { // the policy of everybody has no name of its own
			mine.Policy = string(d.SessionPolicyRef.Name)
		}
		spoken[string(d.Name)] = speak(mine).Handler()
	}
	return dialect.Beside(own, spoken)
}
