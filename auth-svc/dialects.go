package authsvc

import (
	"net/http"

	"cloakroom.dev/libs/api/v1alpha1"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/adapter/dialect/siteworks"
	"cloakroom.dev/auth-svc/internal/adapter/dialect/trackit"
)

// dialects are all the contracts of other systems that can be spoken.
var dialects = map[v1alpha1.DialectName]func(dialect.Deps) dialect.Surface{
	v1alpha1.DialectSiteworks: siteworks.New,
	v1alpha1.DialectTrackit:   trackit.New,
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
