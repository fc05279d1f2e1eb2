package identity

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// maxPasswordBytes bounds what is normalised and hashed, whatever it is in characters: 1024 of the longest.
const maxPasswordBytes = 4 * maxPassword

// normalPassword is what of a password is hashed, so that the same keys pressed on another keyboard, or another system,
// open the account: composed characters (NFC), and spaces of every kind as the one of ASCII. That is what RFC 8265 does
// to passwords; letter case, width and compatibility forms stay, since folding them would only help guessers.
func normalPassword(password string) string {
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, password))
}

// hash makes the hash of a password that is to be kept.
func (s *Service) hash(ctx context.Context, password secret.String) (string, error) {
	return s.hasher.Hash(ctx, normalPassword(password.Reveal()))
}

// checkPassword finds all that is missing from a password someone wants: length in characters, classes of characters, and
// something besides the account's own names.
func (p Policy) checkPassword(field string, password secret.String, u User) (bad []fault.Field) {
	typed := password.Reveal()
	if len(typed) > maxPasswordBytes {
		return []fault.Field{p.tooLongPassword(field)}
	}
	v := normalPassword(typed)
	refuse := func(code, detail string) { bad = append(bad, fault.Field{Field: field, Code: code, Detail: detail}) }
	length := utf8.RuneCountInString(v)
	switch {
	case v == "":
		refuse("REQUIRED", "a password is needed")
		return bad
	case !utf8.ValidString(typed):
		refuse("INVALID", "must be text in UTF-8")
		return bad
	case length > p.MaxPassword:
		return []fault.Field{p.tooLongPassword(field)} // nothing of that size is looked at further
	case length < p.MinPassword:
		refuse("TOO_SHORT", fmt.Sprintf("must have at least %d characters", p.MinPassword))
	}
	for _, class := range missingClasses(v, p.Require) {
		refuse("NEEDS_"+class.code, "must have at least one "+class.words)
	}
	if namesAccount(v, u) {
		refuse("TOO_EASY", "must not be made of the account's own names")
	}
	return bad
}

func (p Policy) tooLongPassword(field string) fault.Field {
	return fault.Field{Field: field, Code: "TOO_LONG", Detail: fmt.Sprintf("must have at most %d characters", p.MaxPassword)}
}

// checkPassword is the policy's word, and that of the guessers' lists.
func (s *Service) checkPassword(policy Policy, field string, password secret.String, u User) []fault.Field {
	if bad := policy.checkPassword(field, password, u); len(bad) > 0 {
		return bad
	}
	return s.checkCommon(field, normalPassword(password.Reveal()))
}

// minBesidesName is how much of a password must be left when a name of the account is taken out of it.
const minBesidesName = 4

func namesAccount(password string, u User) bool {
	local, _, _ := strings.Cut(u.EmailKey, "@")
	folded := fold(password)
	for _, name := range []string{u.EmailKey, local, u.UsernameKey, strings.TrimPrefix(u.Phone, "+"), fold(u.Name)} {
		if len(name) < 3 {
			continue
		}
		rest := strings.ReplaceAll(folded, name, "")
		if rest != folded && len(strings.TrimFunc(rest, notWord)) < minBesidesName {
			return true
		}
	}
	return false
}

func notWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// guarded looks at a password as a guess that has been judged, and notes a wrong one; the caller ends the guess. The cost
// depends on what was typed alone, whatever is wrong: no account, no password set, an empty guess or one too long to be
// right. It is one hash, and two for what is not in normal form: hashes of before passwords were normalised are of what
// was typed. Such a hash is outdated when it fits.
func (s *Service) guarded(ctx context.Context, g *guess, password secret.String, encoded string) (match, outdated bool, err error) {
	typed := password.Reveal()
	if typed == "" || len(typed) > maxPasswordBytes {
		typed, encoded = "-", ""
	}
	normal := normalPassword(typed)
	if match, outdated, err = s.verify(ctx, normal, encoded); err != nil {
		return false, false, fmt.Errorf("verify password: %w", err)
	}
	g.missed = !match // from here on the guess counts, also when the second look is turned away
	if match || normal == typed {
		return match, outdated, nil
	}
	if match, _, err = s.verify(ctx, typed, encoded); err != nil {
		return false, false, fmt.Errorf("verify password as typed: %w", err)
	}
	g.missed = !match
	return match, match, nil
}

// verify is one hash, for nobody as for somebody.
func (s *Service) verify(ctx context.Context, password, encoded string) (match, outdated bool, err error) {
	if encoded == "" {
		return false, false, s.hasher.VerifyDummy(ctx, password)
	}
	return s.hasher.Verify(ctx, password, encoded)
}
