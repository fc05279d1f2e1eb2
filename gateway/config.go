package gateway

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"

	"cloakroom.dev/gateway/internal/adapter/edge"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/web"
)

// What the boot object says, in the words of those who need it.

// upstreamURLs are scheme, host and port of what is behind the gateway.
type upstreamURLs struct{ auth, authInternal, files *url.URL }

func addresses(cfg Config) (upstreamURLs, error) {
	up := cfg.Boot.Spec.Upstreams
	var at upstreamURLs
	for _, u := range []struct {
		name, text string
		into       **url.URL
	}{
		{"auth", cmp.Or(cfg.AuthURL, string(up.Auth.URL)), &at.auth},
		{"auth internal", cmp.Or(cfg.AuthInternalURL, string(up.Auth.InternalURL)), &at.authInternal},
		{"files", cmp.Or(cfg.FilesURL, string(up.Files.URL)), &at.files},
	} {
		parsed, err := url.Parse(u.text)
		if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Path != "" {
			return at, fmt.Errorf("the URL of the %s upstream must be scheme, host and port, not %q", u.name, u.text)
		}
		*u.into = parsed
	}
	return at, nil
}

func trustedProxies(spec v1alpha1.TrustedProxies) (web.TrustedProxies, error) {
	var trust web.TrustedProxies
	if spec.Hops != nil {
		trust.Hops = int(*spec.Hops)
	}
	for _, text := range spec.CIDRs {
		network, err := netip.ParsePrefix(string(text))
		if err != nil {
			return trust, fmt.Errorf("trustedProxies: %w", err)
		}
		trust.CIDRs = append(trust.CIDRs, network.Masked())
	}
	if ways := min(len(trust.CIDRs), 1) + min(trust.Hops, 1); ways > 1 || (ways == 1) == (spec.None != nil) {
		return trust, fmt.Errorf("trustedProxies: exactly one of cidrs, hops, none is needed")
	}
	return trust, nil
}

func pool(p v1alpha1.Pool) edge.Pool {
	return edge.Pool{
		MaxConns: int(p.MaxConns), MaxIdleConns: int(p.MaxIdleConns),
		IdleTimeout: p.IdleTimeout.Std(), DialTimeout: p.DialTimeout.Std(),
	}
}
