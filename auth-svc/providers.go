package authsvc

import (
	"fmt"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"

	"cloakroom.dev/auth-svc/internal/adapter/oidc"
	"cloakroom.dev/auth-svc/internal/identity"
)

// openProviders reads the secrets of the configured identity providers. None of them is asked anything yet.
func openProviders(cfg Config, deps Deps) (*oidc.Providers, error) {
	var configs []oidc.Config
	for _, spec := range cfg.Boot.Spec.IdentityProviders {
		c, err := providerConfig(cfg, spec)
		if err != nil {
			return nil, fmt.Errorf("identity provider %q: %w", spec.Name, err)
		}
		configs = append(configs, c)
	}
	return oidc.New(deps.Log, configs...)
}

func providerConfig(cfg Config, spec v1alpha1.IdentityProvider) (c oidc.Config, err error) {
	c = oidc.Config{
		Provider: identity.Provider{
			Name: string(spec.Name), DisplayName: spec.DisplayName, Issuer: string(spec.Issuer), ReturnURLs: texts(spec.ReturnURLs),
			SignUp: spec.NewPeople == v1alpha1.CreatePeople, LinkByEmail: spec.LinkByEmail == v1alpha1.LinkVerifiedEmail,
		},
		ClientID: spec.ClientID, Scopes: texts(spec.Scopes), AllowPrivate: spec.AllowPrivateAddresses,
		RedirectURL: strings.TrimSuffix(cfg.publicBaseURL(), "/") + "/v1/auth/providers/" + string(spec.Name) + "/callback",
	}
	if spec.ClientSecret != nil {
		if c.ClientSecret, err = readSecret(cfg, *spec.ClientSecret); err != nil {
			return c, fmt.Errorf("clientSecret: %w", err)
		}
	}
	return c, nil
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}
