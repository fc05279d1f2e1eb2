// Package oidc asks OpenID Connect providers who somebody is: authorization code flow with PKCE, state and nonce.
//
// A provider is discovered when it is first needed and again every hour; while it is down its own sign-ins are answered
// fault.Unavailable, at once for a few seconds after each failure, and nothing else notices. Every call goes through
// libs/outbound: it has a deadline, its answer is bounded, it reaches no private address unless that provider is said to be
// inside, and it follows no redirect. An ID token must be signed with an asymmetric key that the provider publishes, be by that
// issuer, for this client alone (aud, azp), unexpired, and carry the nonce of the very question.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/outbound"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Config is one provider.
type Config struct {
	identity.Provider
	ClientID     string
	ClientSecret secret.String // empty for a public client
	Scopes       []string      // besides openid
	RedirectURL  string        // where the provider sends browsers back to: ours
	AllowPrivate bool          // the provider is on a private network, or speaks plain HTTP
}

const (
	callTimeout    = 8 * time.Second
	redeemTimeout  = 20 * time.Second // token, keys and user info together
	maxAnswerBytes = 512 << 10
	retryAfter     = 5 * time.Second
)

// Providers asks the configured providers. It is safe for concurrent use.
type Providers struct {
	list   []identity.Provider
	byName map[string]*provider
}

var _ identity.Providers = (*Providers)(nil)

// New connects to nothing.
func New(log *slog.Logger, configs ...Config) (*Providers, error) {
	p := &Providers{byName: map[string]*provider{}}
	for _, c := range configs {
		if _, twice := p.byName[c.Name]; twice {
			return nil, fmt.Errorf("two identity providers are called %q", c.Name)
		}
		if slices.ContainsFunc(p.list, func(o identity.Provider) bool { return o.Issuer == c.Issuer }) {
			return nil, fmt.Errorf("two identity providers have the issuer %q", c.Issuer)
		}
		if err := checkURL(c.Issuer, c.AllowPrivate); err != nil {
			return nil, fmt.Errorf("issuer of identity provider %q: %w", c.Name, err)
		}
		p.list = append(p.list, c.Provider)
		p.byName[c.Name] = &provider{
			Config: c, log: log, turn: make(chan struct{}, 1),
			client: outbound.Client(outbound.Options{Timeout: callTimeout, AllowPrivate: c.AllowPrivate, MaxAnswerBytes: maxAnswerBytes}),
		}
	}
	return p, nil
}

// List is all there are, in the order of the configuration.
func (p *Providers) List() []identity.Provider { return p.list }

func (p *Providers) named(name string) (*provider, error) {
	if one := p.byName[name]; one != nil {
		return one, nil
	}
	return nil, fault.New(fault.NotFound, "no such identity provider")
}

// AuthorizationURL is where a browser goes to prove who sits there.
func (p *Providers) AuthorizationURL(ctx context.Context, name string, q identity.Question) (string, error) {
	one, err := p.named(name)
	if err != nil {
		return "", err
	}
	found, err := one.discover(ctx)
	if err != nil {
		return "", err
	}
	return one.oauth(found).AuthCodeURL(q.State,
		oauth2.SetAuthURLParam("nonce", q.Nonce), oauth2.S256ChallengeOption(q.Verifier)), nil
}

// CheckIssuer compares what the answer says of itself (RFC 9207) with the provider.
func (p *Providers) CheckIssuer(ctx context.Context, name string, a identity.Answer) error {
	one, err := p.named(name)
	if err != nil {
		return err
	}
	if a.Issuer != "" && a.Issuer != one.Issuer {
		return one.refuse(ctx, "answer by another issuer", nil)
	}
	return nil
}

// Redeem turns a code into claims.
func (p *Providers) Redeem(ctx context.Context, name string, a identity.Answer, q identity.Question) (claims identity.ProviderClaims, err error) {
	one, err := p.named(name)
	if err != nil {
		return claims, err
	}
	ctx, cancel := context.WithTimeout(ctx, redeemTimeout)
	defer cancel()
	found, err := one.discover(ctx)
	if err != nil {
		return claims, err
	}
	if found.saysIssuer && a.Issuer == "" {
		return claims, one.refuse(ctx, "answer without the issuer that this provider always names", nil)
	}
	tokens, err := one.exchange(ctx, found, a.Code, q.Verifier)
	if err != nil {
		return claims, err
	}
	return one.claims(ctx, found, tokens, q.Nonce)
}

func (p *provider) oauth(found *discovered) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret.Reveal(), Endpoint: found.endpoint, RedirectURL: p.RedirectURL,
		Scopes: append([]string{"openid"}, p.Scopes...),
	}
}

// exchange gives the code for tokens. What the provider says is wrong with the code is the browser's fault; anything else the
// operator's or the provider's.
func (p *provider) exchange(ctx context.Context, found *discovered, code, verifier string) (*oauth2.Token, error) {
	tokens, err := p.oauth(found).Exchange(context.WithValue(ctx, oauth2.HTTPClient, p.client), code, oauth2.VerifierOption(verifier))
	var refused *oauth2.RetrieveError
	switch {
	case err == nil:
		return tokens, nil
	case errors.As(err, &refused) && refused.ErrorCode == "invalid_grant":
		return nil, p.refuse(ctx, "code refused by the provider", nil)
	case errors.As(err, &refused): // its text repeats the body of the answer, which is not for the log
		status := 0
		if refused.Response != nil {
			status = refused.Response.StatusCode
		}
		return nil, p.down(ctx, "exchange the code", fmt.Errorf("status %d, error %.64q", status, refused.ErrorCode))
	default:
		return nil, p.down(ctx, "exchange the code", err)
	}
}

// down is for a provider that can't be used right now.
func (p *provider) down(ctx context.Context, step string, err error) error {
	if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		p.log.WarnContext(ctx, "identity provider can't be used", "provider", p.Name, "step", step, "error", brief(err))
	}
	return fault.Retry(fault.Unavailable, "this identity provider can't be reached right now", retryAfter)
}

// refuse is for an answer that proves nothing. The log learns why, the browser does not.
func (p *provider) refuse(ctx context.Context, why string, err error) error {
	p.log.InfoContext(ctx, "identity provider's answer refused", "provider", p.Name, "reason", why, "error", brief(err))
	return fault.New(fault.InvalidCredentials, "the identity provider's answer does not prove anything; start again")
}

// brief cuts what libraries say: they repeat whole answers.
func brief(err error) string {
	if err == nil {
		return ""
	}
	return strings.ToValidUTF8(fmt.Sprintf("%.300s", err.Error()), "")
}

// checkURL takes https, and plain http only of a provider inside.
func checkURL(raw string, inside bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("it is no URL")
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("it needs a host, and neither user nor fragment")
	case u.Scheme == "https", u.Scheme == "http" && inside:
		return nil
	}
	return errors.New("it must be https")
}

// provider is one of them at work.
type provider struct {
	Config
	log    *slog.Logger
	client *http.Client
	turn   chan struct{} // whoever holds it reads and writes what follows
	found  *discovered
	fresh  time.Time // until when found is not asked for again
	failed time.Time // until when a failure is not tried again
}
