package wire

import (
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// ExternalIdentity is who a person is at an identity provider.
type ExternalIdentity struct {
	ID         string    `json:"id"`
	Provider   string    `json:"provider"`
	Issuer     string    `json:"issuer"`
	Subject    string    `json:"subject"`
	Email      *string   `json:"email"`
	CreatedAt  web.Time  `json:"created_at"`
	LastUsedAt *web.Time `json:"last_used_at"`
}

// NewExternalIdentity renders one.
func NewExternalIdentity(e identity.ExternalIdentity) ExternalIdentity {
	return ExternalIdentity{
		ID: e.ID, Provider: e.Provider, Issuer: e.Issuer, Subject: e.Subject, Email: OrNull(e.Email),
		CreatedAt: web.Time(e.CreatedAt), LastUsedAt: TimeOrNull(e.LastUsedAt),
	}
}

// NewExternalIdentities renders a list.
func NewExternalIdentities(list []identity.ExternalIdentity) []ExternalIdentity {
	out := make([]ExternalIdentity, 0, len(list))
	for _, e := range list {
		out = append(out, NewExternalIdentity(e))
	}
	return out
}
