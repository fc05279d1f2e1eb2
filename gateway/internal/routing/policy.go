package routing

import "cloakroom.dev/libs/api/v1alpha1"

// TokenPolicy is a TokenPolicy that rules may name. Two policies with the same Digest ask the same of a token, so a verifier
// made for one snapshot can be kept for the next.
type TokenPolicy struct {
	Name       string
	Generation int64
	Digest     string
	Spec       *v1alpha1.TokenPolicySpec // shared: must not be changed
}
