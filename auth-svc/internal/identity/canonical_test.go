package identity_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cloakroom.dev/auth-svc/internal/identity"
)

func TestParseIdentifier_BringsSpellingsTogether(t *testing.T) {
	for typed, want := range map[string]identity.Identifier{
		"Ada@Example.ORG":            {Kind: identity.Email, Key: "ada@example.org"},
		"  ada@example.org\t":        {Kind: identity.Email, Key: "ada@example.org"},
		"a.d.a+tag@example.org":      {Kind: identity.Email, Key: "a.d.a+tag@example.org"},
		"ada@BÜCHER.example":         {Kind: identity.Email, Key: "ada@xn--bcher-kva.example"},
		"ada@bücher。example":         {Kind: identity.Email, Key: "ada@xn--bcher-kva.example"}, // ideographic full stop
		"ADA@straße.example":         {Kind: identity.Email, Key: "ada@xn--strae-oqa.example"},
		"Straße@example.org":         {Kind: identity.Email, Key: "straße@example.org"},
		"jürgen@example.org":         {Kind: identity.Email, Key: "jürgen@example.org"}, // u and a combining diaeresis
		"ﬁona@example.org":           {Kind: identity.Email, Key: "fiona@example.org"},
		"+1 (555) 123-4567":          {Kind: identity.Phone, Key: "+15551234567"},
		"＋１５５５１２３４５６７":               {Kind: identity.Phone, Key: "+15551234567"},
		"Ada_L.1":                    {Kind: identity.Username, Key: "ada_l.1"},
		"ＡＤＡ":                        {Kind: identity.Username, Key: "ada"},
		"ΣΑΣ":                        {Kind: identity.Username, Key: "σασ"},
		"σας":                        {Kind: identity.Username, Key: "σασ"},
		"ꭰꭱ":                         {Kind: identity.Username, Key: "ꭰꭱ"},
		"ᎠᎡ":                         {Kind: identity.Username, Key: "ꭰꭱ"},
		"ſam":                        {Kind: identity.Username, Key: "sam"},
		"007":                        {Kind: identity.Username, Key: "007"},
		"Ωmega":                      {Kind: identity.Username, Key: "ωmega"}, // ohm sign
		strings.Repeat("a", 64):      {Kind: identity.Username, Key: strings.Repeat("a", 64)},
		"x@" + domainOf(63) + ".org": {Kind: identity.Email, Key: "x@" + domainOf(63) + ".org"},
	} {
		if got, ok := identity.ParseIdentifier(typed); !ok || got != want {
			t.Errorf("%q: %+v, %v; want %+v", typed, got, ok, want)
		}
	}
}

func domainOf(n int) string { return strings.Repeat("d", n) }

func TestParseIdentifier_RefusesWhatNamesNobody(t *testing.T) {
	for name, typed := range map[string]string{
		"empty":                   "",
		"blank":                   "   ",
		"two ats":                 "a@b@example.org",
		"no local part":           "@example.org",
		"no domain":               "ada@",
		"no dot in the domain":    "ada@localhost",
		"final dot":               "ada@example.org.",
		"address as domain":       "ada@192.0.2.1",
		"literal":                 "ada@[192.0.2.1]",
		"quoted":                  `"<script>"@example.org`,
		"markup":                  "<script>@example.org",
		"blank inside":            "a da@example.org",
		"newline inside":          "ada\n@example.org",
		"header injection":        "ada@example.org\r\nBcc: eve@example.org",
		"NUL":                     "ada\x00@example.org",
		"zero-width space":        "a\u200bda@example.org",
		"right-to-left override":  "ada\u202e@example.org",
		"fullwidth at inside":     "ada＠evil.example@example.org",
		"dot first":               ".ada@example.org",
		"dot last":                "ada.@example.org",
		"two dots":                "a..da@example.org",
		"local part over 64":      strings.Repeat("a", 65) + "@example.org",
		"label over 63":           "ada@" + domainOf(64) + ".org",
		"255 bytes":               strings.Repeat("a", 60) + "@" + strings.Repeat(domainOf(47)+".", 4) + "org",
		"underscore in a domain":  "ada@ex_ample.org",
		"dash first in a domain":  "ada@-example.org",
		"bad punycode":            "ada@xn--\u00fc.org",
		"not UTF-8":               "ad\xff@example.org",
		"phone too short":         "+123456",
		"phone too long":          "+1234567890123456",
		"phone with letters":      "+1555CALLME",
		"phone from nowhere":      "+0155512345",
		"only a plus":             "+",
		"username with a blank":   "a da",
		"username over 64":        strings.Repeat("a", 65),
		"username over 64 folded": strings.Repeat("ﷺ", 20), // one ligature of 18 letters
		"username from marks":     "\u0301\u0301",
		"username with a slash":   "a/da",
		"username with a quote":   "a'da",
		"dash first":              "-ada",
		"zero-width joiner":       "a\u200dda",
		"control":                 "a\x07da",
		"emoji":                   "🙂",
		"a megabyte":              strings.Repeat("a", 1<<20),
	} {
		if got, ok := identity.ParseIdentifier(typed); ok {
			t.Errorf("%s: %.40q was taken for %+v", name, typed, got)
		}
	}
}

// What is canonical stays as it is: otherwise one person could have two keys, by way of a second login.
func TestParseIdentifier_IsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typed := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`[\pL\pN\pM._+-]{1,20}@[\pL\pN-]{1,12}\.(org|example)`),
			rapid.StringMatching(`[\pL\pN\pM._-]{1,30}`),
			rapid.StringMatching(`\+[1-9][0-9 ().-]{6,18}`),
		).Draw(t, "typed")
		checkStable(t, typed)
	})
}

type fatal interface{ Fatalf(string, ...any) }

func checkStable(t fatal, typed string) {
	first, ok := identity.ParseIdentifier(typed)
	if !ok {
		return
	}
	second, ok := identity.ParseIdentifier(first.Key)
	if !ok || second != first {
		t.Fatalf("%q is %+v, and that again is %+v, %v", typed, first, second, ok)
	}
	if strings.ContainsFunc(first.Key, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		t.Fatalf("%q gives %q, with blanks or control characters", typed, first.Key)
	}
}

func FuzzParseIdentifier(f *testing.F) {
	for _, seed := range []string{"Ada@Bücher.example", "+44 20 7183 8750", "ada_l", "ﬁona@straße.example", "ẞ", "ΐ@ſ.example"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) { checkStable(t, typed) })
}
