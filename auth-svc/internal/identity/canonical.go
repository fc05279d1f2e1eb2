package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// The lengths a mail server has to take (RFC 5321), and ours for usernames.
const (
	maxEmailBytes    = 254
	maxLocalBytes    = 64
	maxUsernameRunes = 64
	minPhoneDigits   = 7
	maxPhoneDigits   = 15
)

// mailDomain maps a domain as a resolver would, and insists on what DNS can hold.
var mailDomain = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true),
	idna.VerifyDNSLength(true), idna.BidiRule())

// canonicalEmail folds the local part and puts the domain into its ASCII form. Dots and tags stay: they may name
// different people.
func canonicalEmail(typed string) (string, bool) {
	if len(typed) > maxEmailBytes || !utf8.ValidString(typed) {
		return "", false
	}
	at := strings.LastIndexByte(typed, '@')
	if at < 1 {
		return "", false
	}
	local := fold(typed[:at])
	if len(local) > maxLocalBytes || !isDotAtom(local) {
		return "", false
	}
	domain, ok := canonicalDomain(typed[at+1:])
	if !ok {
		return "", false
	}
	key := local + "@" + domain
	return key, len(key) <= maxEmailBytes
}

// canonicalDomain takes only what is its own canonical form afterwards: the library's checks look at a domain before
// they map it, and let some through that they refuse a second time.
func canonicalDomain(typed string) (string, bool) {
	domain, err := mailDomain.ToASCII(typed)
	if err != nil || !strings.Contains(domain, ".") || strings.HasSuffix(domain, ".") || isNumeric(domain) {
		return "", false
	}
	again, err := mailDomain.ToASCII(domain)
	return domain, err == nil && again == domain
}

// isDotAtom allows what mail allows without quotes, and letters and digits of any script. Quoted local parts are legal
// and unused; they only ever come from people who try things out.
func isDotAtom(s string) bool {
	if strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") || s == "" {
		return false
	}
	for _, r := range s {
		if !isWordRune(r) && !strings.ContainsRune("!#$%&'*+/=?^_`{|}~-.", r) {
			return false
		}
	}
	return true
}

// canonicalPhone brings a number in international form to E.164. Without a leading + nobody can know the country.
func canonicalPhone(typed string) (string, bool) {
	if len(typed) > 64 || !utf8.ValidString(typed) {
		return "", false
	}
	rest, ok := strings.CutPrefix(norm.NFKC.String(typed), "+")
	if !ok {
		return "", false
	}
	digits := make([]byte, 0, maxPhoneDigits)
	for _, r := range rest {
		switch {
		case r >= '0' && r <= '9':
			digits = append(digits, byte(r))
		case !strings.ContainsRune(" -().", r):
			return "", false
		}
	}
	if len(digits) < minPhoneDigits || len(digits) > maxPhoneDigits || digits[0] == '0' {
		return "", false
	}
	return "+" + string(digits), true
}

// canonicalUsername folds a username. It has no @ and starts with a letter or digit, so it is never taken for an email
// or a phone.
func canonicalUsername(typed string) (string, bool) {
	if len(typed) > 4*maxUsernameRunes || !utf8.ValidString(typed) {
		return "", false
	}
	key := fold(typed)
	if n := utf8.RuneCountInString(key); n == 0 || n > maxUsernameRunes {
		return "", false
	}
	for i, r := range key {
		if !isWordRune(r) && (i == 0 || !strings.ContainsRune("._-", r)) || i == 0 && unicode.IsMark(r) {
			return "", false
		}
	}
	return key, true
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

func isNumeric(domain string) bool {
	return strings.Trim(domain, "0123456789.") == ""
}

// fold makes texts equal that people take for equal: compatibility forms and case. Folding can bring forth what the
// next normalization changes again, so both are done until nothing moves; three rounds are more than Unicode needs.
func fold(s string) string {
	for range 3 {
		next := norm.NFKC.String(strings.Map(foldRune, norm.NFKC.String(s)))
		if next == s {
			break
		}
		s = next
	}
	return s
}

// foldRune picks one of all runes that differ only in case. Lower-casing alone would keep some apart (ς and σ, ſ and
// s), and x/text's folding swaps the two cases of Cherokee instead of joining them.
func foldRune(r rune) rune {
	least := r
	for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
		least = min(least, o)
	}
	return unicode.ToLower(least)
}
