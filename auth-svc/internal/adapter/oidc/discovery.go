package oidc

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"cloakroom.dev/libs/fault"
)

// discoveredFor is how long a provider's description of itself is believed.
const discoveredFor = time.Hour

// algorithms are those an ID token may be signed with: asymmetric ones only, whatever the provider offers.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// discovered is what a provider says of itself.
type discovered struct {
	provider   *oidc.Provider
	endpoint   oauth2.Endpoint
	verifier   *oidc.IDTokenVerifier
	saysIssuer bool // every answer names the issuer (RFC 9207)
}

// discover returns the description, asking for it when there is none or it is old. A provider that is down keeps its old one.
func (p *provider) discover(ctx context.Context) (*discovered, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, p.down(ctx, "wait for discovery", ctx.Err())
	}
	now := time.Now()
	switch {
	case p.found != nil && now.Before(p.fresh):
		return p.found, nil
	case now.Before(p.failed) && p.found != nil:
		return p.found, nil
	case now.Before(p.failed):
		return nil, fault.Retry(fault.Unavailable, "this identity provider can't be reached right now", retryAfter)
	}
	// Whoever asked first may go away: the answer is for all.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	found, err := p.ask(asking)
	switch {
	case err == nil:
		p.found, p.fresh = found, time.Now().Add(discoveredFor)
		return found, nil
	case p.found != nil:
		p.failed = time.Now().Add(retryAfter)
		_ = p.down(asking, "discover again", err)
		return p.found, nil
	default:
		p.failed = time.Now().Add(retryAfter)
		return nil, p.down(asking, "discover", err)
	}
}

func (p *provider) ask(ctx context.Context) (*discovered, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.Issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		JWKS       string   `json:"jwks_uri"`
		Methods    []string `json:"token_endpoint_auth_methods_supported"`
		SaysIssuer bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, fmt.Errorf("read the description: %w", err)
	}
	endpoint := provider.Endpoint()
	named := map[string]string{"authorization_endpoint": endpoint.AuthURL, "token_endpoint": endpoint.TokenURL, "jwks_uri": more.JWKS}
	if u := provider.UserInfoEndpoint(); u != "" {
		named["userinfo_endpoint"] = u
	}
	for name, u := range named {
		if err := checkURL(u, p.AllowPrivate); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	// One way, chosen beforehand: trying both would show a one-time code twice.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if p.ClientSecret.IsZero() || (len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic")) {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &discovered{
		provider: provider, endpoint: endpoint, saysIssuer: more.SaysIssuer,
		verifier: provider.VerifierContext(oidc.ClientContext(context.Background(), p.client),
			&oidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: algorithms}),
	}, nil
}
