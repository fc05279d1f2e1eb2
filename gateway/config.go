package gateway

import (
	"fmt"
	"net/netip"
	"net/url"

	"cloakroom.dev/gateway/internal/adapter/edge"
	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/web"
)

// What the boot object says, in the words of those who need it.

// upstreamURLs are scheme, host and port of what is behind the gateway, one a replica.
type upstreamURLs struct{ auth, authInternal, files []*url.URL }

// The services of one process, as hosts of URLs.
const (
	authInside  = "auth-svc"
	filesInside = "files-svc"
)

func addresses(cfg Config) (upstreamURLs, error) {
	up := cfg.Boot.Spec.Upstreams
	var at upstreamURLs
	for _, u := range []struct {
		name, instead string
		listed        []v1alpha1.OriginURL
		into          *[]*url.URL
		inside        Inside
		host          string
	}{
		{"auth", "", up.Auth.All(), &at.auth, cfg.Auth, authInside},
		{"auth internal", cfg.AuthInternalURL, up.Auth.AllInternal(), &at.authInternal, nil, ""},
		{"files", "", up.Files.All(), &at.files, cfg.Files, filesInside},
	} {
		if u.inside != nil {
			u.instead = "http://" + u.host
		}
		if u.instead != "" {
			u.listed = []v1alpha1.OriginURL{v1alpha1.OriginURL(u.instead)}
		}
		if len(u.listed) == 0 {
			return at, fmt.Errorf("the %s upstream needs a URL", u.name)
		}
		for _, text := range u.listed {
			parsed, err := url.Parse(string(text))
			if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Path != "" {
				return at, fmt.Errorf("the URL of the %s upstream must be scheme, host and port, not %q", u.name, text)
			}
			*u.into = append(*u.into, parsed)
		}
	}
	return at, nil
}

// upstreams makes what stands for the services.
func upstreams(cfg Config, at upstreamURLs, deps Deps) (map[string]*edge.Upstream, error) {
	all, up := map[string]*edge.Upstream{}, cfg.Boot.Spec.Upstreams
	for _, u := range []struct {
		name   string
		urls   []*url.URL
		care   v1alpha1.Care
		inside Inside
	}{{"auth", at.auth, up.Auth.Care, cfg.Auth}, {"files", at.files, up.Files.Care, cfg.Files}} {
		made, err := edge.NewUpstream(balance(u.name, u.urls, u.care, deps), pool(u.care.Pool), u.inside)
		if err != nil {
			return nil, err
		}
		all[u.name] = made
	}
	all["auth"].EndsCallers()
	return all, nil
}

func balance(name string, urls []*url.URL, care v1alpha1.Care, deps Deps) upstream.Options {
	h, e, r := care.Health, care.Ejection, care.RetryBudget
	return upstream.Options{
		Name: name, URLs: urls, MaxRequests: int(care.MaxRequests),
		Health: upstream.Health{
			Interval: h.Interval.Std(), Timeout: h.Timeout.Std(), DownAfter: int(h.DownAfter), UpAfter: int(h.UpAfter),
		},
		Ejection: upstream.Ejection{Failures: int(e.Failures), Time: e.Time.Std(), MaxTime: e.MaxTime.Std()},
		Budget:   upstream.Budget{Percent: int(r.Percent), MinPerSecond: int(r.MinPerSecond)},
		Log:      deps.Log, Registerer: deps.Registerer,
	}
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

func pool(p v1alpha1.Pool) upstream.Pool {
	return upstream.Pool{
		MaxConns: int(p.MaxConns), MaxIdleConns: int(p.MaxIdleConns),
		IdleTimeout: p.IdleTimeout.Std(), DialTimeout: p.DialTimeout.Std(),
	}
}

func texts(urls []*url.URL) []string { return below(urls, "") }

// below are the addresses of one path at each of urls.
func below(urls []*url.URL, path string) []string {
	out := make([]string, len(urls))
	for i, u := range urls {
		out[i] = u.String() + path
	}
	return out
}
