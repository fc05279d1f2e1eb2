package authsvc

import (
	"log/slog"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
)

// An origin is what a browser says of a page, to the letter; pages elsewhere get no passkeys of the site.
func TestPasskeyOrigin(t *testing.T) {
	for _, c := range []struct{ text, site, want string }{
		{"https://example.com", "example.com", "https://example.com"},
		{"https://Login.Example.com/", "example.com", "https://login.example.com"},
		{"https://example.com:443", "example.com", "https://example.com"},
		{"https://example.com:8443", "example.com", "https://example.com:8443"},
		{"http://localhost:8080", "localhost", "http://localhost:8080"},
		{"http://app.localhost:80", "localhost", "http://app.localhost"},
		{"https://xn--mnchen-3ya.de", "xn--mnchen-3ya.de", "https://xn--mnchen-3ya.de"},

		{"http://example.com", "example.com", ""},
		{"ftp://localhost", "localhost", ""},
		{"https://example.org", "example.com", ""},
		{"https://evilexample.com", "example.com", ""},
		{"https://example.com.evil.org", "example.com", ""},
		{"https://example.com@evil.org", "example.com", ""},
		{"https://example.com", "login.example.com", ""},
		{"https://münchen.de", "münchen.de", ""},
		{"https://[::1", "localhost", ""},
	} {
		got, err := passkeyOrigin(c.text, c.site)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s for %s is %q, %v; want %q", c.text, c.site, got, err, c.want)
		}
	}
}

// A gateway that browsers keep passkeys from has none, quietly; a site that is named and can't be is an error at the start.
func TestOpenPasskeys_FollowsTheConfiguration(t *testing.T) {
	for _, c := range []struct {
		base   string
		spec   *v1alpha1.Passkeys
		opens  bool
		refuse bool
	}{
		{base: "https://files.example.com", opens: true},
		{base: "http://localhost:8080", opens: true},
		{base: "http://127.0.0.1:8080"},
		{base: "https://192.0.2.1"},
		{base: "http://files.example.com"},
		{base: "https://files.example.com", spec: &v1alpha1.Passkeys{Site: "example.com", Origins: []v1alpha1.OriginURL{"https://app.example.com"}}, opens: true},
		{base: "https://files.example.com", spec: &v1alpha1.Passkeys{Site: "example.org"}, refuse: true},
		{base: "https://files.example.com", spec: &v1alpha1.Passkeys{Origins: []v1alpha1.OriginURL{"https://example.com"}}, refuse: true},
		{base: "http://files.example.com", spec: &v1alpha1.Passkeys{Site: "example.com"}, refuse: true},
	} {
		cfg := Config{Boot: &v1alpha1.AuthConfig{}, PublicBaseURL: c.base}
		cfg.Boot.Spec.Passkeys = c.spec
		cfg.Boot.Spec.Issuer = "https://issuer.example"
		speaks, err := openPasskeys(t.Context(), cfg, Deps{Log: slog.New(slog.DiscardHandler)})
		if (speaks != nil) != c.opens || (err != nil) != c.refuse {
			t.Errorf("%s with %+v: opens %v, %v", c.base, c.spec, speaks != nil, err)
		}
	}
}
