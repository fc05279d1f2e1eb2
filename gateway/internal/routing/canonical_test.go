package routing_test

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/fault"
)

func TestCanonical_Accepts(t *testing.T) {
	for sent, want := range map[string]string{
		"/":                               "/",
		"/v1/files":                       "/v1/files",
		"/v1/files/":                      "/v1/files/",
		"/caf%C3%A9":                      "/café",
		"/a%20b":                          "/a b",
		"/%76%31/files":                   "/v1/files",
		"/100%25":                         "/100%",
		"/100%25zz":                       "/100%zz",
		"/what%3Fis%23this":               "/what?is#this",
		"/.well-known/jwks.json":          "/.well-known/jwks.json",
		"/...":                            "/...",
		"/..a/.b":                         "/..a/.b",
		"/a;v=1/b":                        "/a;v=1/b",
		"/~me/$x&y='(1)'*+,=:@!":          "/~me/$x&y='(1)'*+,=:@!",
		"/l/" + strings.Repeat("a", 8000): "/l/" + strings.Repeat("a", 8000),
	} {
		if got, err := routing.Canonical(sent); err != nil || got != want {
			t.Errorf("%.40s: got %.40q %v, want %.40q", sent, got, err, want)
		}
	}
}

func TestCanonical_Refuses(t *testing.T) {
	for _, sent := range []string{
		"", "*", "v1", "http://h/v1", "?", // not a path
		"//", "//v1", "/v1//files", "/v1/files//", // empty segments
		"/.", "/..", "/v1/./files", "/v1/../admin", "/v1/..", // dot segments
		"/v1/%2e%2e/admin", "/v1/.%2E/admin", "/v1/%2e", "/v1/..;/admin", "/v1/..;x=1/admin", "/v1/.;", "/v1/%2e%2e%3b/admin",
		"/v1%2ffiles", "/v1%2Ffiles", "/v1%5cfiles", `/v1\files`, `/..\admin`, // hidden separators
		"/a%00", "/a%0d%0aX-Evil:1", "/a%0a", "/a%1f", "/a%7f", "/a\x00", "/a\n", "/a\x7f", "/a b", // control characters
		"/caf\xc3\xa9", "/%ff", "/%c0%ae%c0%ae/", "/%ed%a0%80", // raw or broken UTF-8, overlong dots, surrogates
		"/%", "/%2", "/%zz", "/a%2", "/%u002e", // damaged escapes
		"/%252e%252e/admin", "/%252fadmin", "/%255cadmin", "/%2500", "/%25252e", // escaped twice
		"/a?b", "/a#b",
		"/" + strings.Repeat("a", 8192),
	} {
		got, err := routing.Canonical(sent)
		if !errors.Is(err, fault.Of(fault.Invalid)) || got != "" {
			t.Errorf("%.60q: got %q %v, want a refusal", sent, got, err)
		}
	}
}

// FuzzCanonical holds what the rest of the gateway builds on: whatever is accepted cannot be read in two ways.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"/", "/v1/files", "/a%20b", "/%2e%2e/x", "/a//b", "/%25", "/..;x", "/%E2%82%AC", `/a\b`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		got, err := routing.Canonical(sent)
		if err != nil {
			if got != "" {
				t.Errorf("%q: refused, and yet %q", sent, got)
			}
			return
		}
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\\\x00\r\n") || strings.Contains(got, "//") {
			t.Errorf("%q became %q", sent, got)
		}
		if clean := path.Clean(got); clean != got && clean+"/" != got {
			t.Errorf("%q became %q, which cleans to %q", sent, got, clean)
		}
		// What goes upstream is the encoding of got; a service that decodes it must find got, and so must a second gateway.
		u := url.URL{Path: got}
		if again, err := routing.Canonical(u.EscapedPath()); err != nil || again != got {
			t.Errorf("%q became %q; sent on as %q that is %q %v", sent, got, u.EscapedPath(), again, err)
		}
		// The standard library must agree about what it says.
		if plain, err := url.PathUnescape(sent); err != nil || plain != got {
			t.Errorf("%q became %q; net/url says %q %v", sent, got, plain, err)
		}
	})
}

func TestRewrite_Apply(t *testing.T) {
	prefix := func(to string) routing.Rewrite { return routing.Rewrite{ReplacePrefix: true, Prefix: to} }
	for _, c := range []struct {
		rewrite           routing.Rewrite
		claimed, path     string
		upstream, outside string
	}{
		{routing.Rewrite{}, "/v1", "/v1/files", "/v1/files", ""},
		{routing.Rewrite{FullPath: "/one"}, "/v1", "/v1/files", "/one", ""},
		{prefix("/xyz"), "/foo", "/foo/bar", "/xyz/bar", "/foo"},
		{prefix("/xyz"), "/foo", "/foo/", "/xyz/", "/foo"},
		{prefix("/xyz"), "/foo", "/foo", "/xyz", "/foo"},
		{prefix("/xyz/"), "/foo", "/foo/bar", "/xyz/bar", "/foo"},
		{prefix("/xyz/"), "/foo", "/foo", "/xyz", "/foo"},
		{prefix("/"), "/foo", "/foo/bar", "/bar", "/foo"},
		{prefix("/"), "/foo", "/foo/", "/", "/foo"},
		{prefix("/"), "/foo", "/foo", "/", "/foo"},
		{prefix("/dialects/medods"), "/", "/auth/login", "/dialects/medods/auth/login", "/"},
		{prefix("/dialects/medods"), "/", "/", "/dialects/medods/", "/"},
		{prefix("/in/auth"), "/auth", "/auth/login", "/in/auth/login", "/"},
		{prefix("/in/auth"), "/out/auth", "/out/auth/login", "/in/auth/login", "/out"},
		{prefix("/xauth"), "/auth", "/auth/login", "/xauth/login", "/auth"},
		{prefix("/foo"), "/foo", "/foo/bar", "/foo/bar", ""},
	} {
		upstream, outside := c.rewrite.Apply(routing.Decision{Prefix: c.claimed}, c.path)
		if upstream != c.upstream || outside != c.outside {
			t.Errorf("%+v of %s at %s: got %q %q, want %q %q", c.rewrite, c.path, c.claimed, upstream, outside, c.upstream, c.outside)
		}
	}
}
