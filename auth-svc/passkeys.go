package authsvc

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"cloakroom.dev/libs/api/v1alpha1"

	"cloakroom.dev/auth-svc/internal/adapter/webauthn"
	"cloakroom.dev/auth-svc/internal/identity"
)

// openPasskeys makes what speaks WebAuthn. The site and its origins come from the configuration alone. A gateway that
// people reach by an address or without TLS has no passkeys, unless a site is named.
func openPasskeys(ctx context.Context, cfg Config, deps Deps) (identity.WebAuthn, error) {
	base, err := url.Parse(cfg.publicBaseURL())
	if err != nil {
		return nil, fmt.Errorf("publicBaseURL: %w", err)
	}
	spec := v1alpha1.Passkeys{}
	if cfg.Boot.Spec.Passkeys != nil {
		spec = *cfg.Boot.Spec.Passkeys
	}
	site := webauthn.Site{ID: string(spec.Site), Name: string(cfg.Boot.Spec.Issuer)}
	if site.ID == "" {
		site.ID = strings.ToLower(base.Hostname())
		_, addressErr := netip.ParseAddr(site.ID)
		if _, err := passkeyOrigin(cfg.publicBaseURL(), site.ID); err != nil || addressErr == nil || site.ID == "" {
			deps.Log.InfoContext(ctx, "no passkeys: browsers keep them for domains reached by https", "public_base_url", cfg.publicBaseURL())
			return nil, nil
		}
	}
	for _, origin := range append([]v1alpha1.OriginURL{v1alpha1.OriginURL(cfg.publicBaseURL())}, spec.Origins...) {
		checked, err := passkeyOrigin(string(origin), site.ID)
		if err != nil {
			return nil, fmt.Errorf("passkeys: %w", err)
		}
		site.Origins = append(site.Origins, checked)
	}
	return webauthn.New(site)
}

// passkeyOrigin checks what browsers would: that pages there may ask for passkeys of the site.
func passkeyOrigin(text, site string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("origin %q: %w", text, err)
	}
	host := strings.ToLower(u.Hostname())
	local := u.Scheme == "http" && (host == "localhost" || strings.HasSuffix(host, ".localhost"))
	switch {
	case strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }):
		return "", fmt.Errorf("origin %q: write the name as browsers do, in ASCII (xn--…)", text)
	case host != site && !strings.HasSuffix(host, "."+site):
		return "", fmt.Errorf("pages at %s can't ask for passkeys of %q: name a site that is their domain or one above it", text, site)
	case u.Scheme != "https" && !local:
		return "", fmt.Errorf("browsers keep passkeys from %s: it is not https", text)
	}
	origin := u.Scheme + "://" + strings.ToLower(u.Host)
	if u.Scheme == "https" { // an origin leaves out the port that goes without saying
		return strings.TrimSuffix(origin, ":443"), nil
	}
	return strings.TrimSuffix(origin, ":80"), nil
}
