package identity

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// checkPassword finds what is wrong with a password someone wants: its length in bytes, and the account's own names.
func (p Policy) checkPassword(field string, password secret.String, u User) []fault.Field {
	v := password.Reveal()
	switch {
	case v == "":
		return []fault.Field{{Field: field, Code: "REQUIRED", Detail: "a password is needed"}}
	case len(v) < p.MinPassword:
		return []fault.Field{{Field: field, Code: "TOO_SHORT", Detail: fmt.Sprintf("must have at least %d bytes", p.MinPassword)}}
	case len(v) > p.MaxPassword:
		return []fault.Field{{Field: field, Code: "TOO_LONG", Detail: fmt.Sprintf("must have at most %d bytes", p.MaxPassword)}}
	case !utf8.ValidString(v):
		return []fault.Field{{Field: field, Code: "INVALID", Detail: "must be text in UTF-8"}}
	case namesAccount(v, u):
		return []fault.Field{{Field: field, Code: "TOO_EASY", Detail: "must not be made of the account's own names"}}
	}
	return nil
}

// checkPassword is the policy's word, and that of the guessers' lists.
func (s *Service) checkPassword(field string, password secret.String, u User) []fault.Field {
	if bad := s.policy().checkPassword(field, password, u); len(bad) > 0 {
		return bad
	}
	return s.checkCommon(field, password.Reveal())
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

// verify looks at a password at the cost of exactly one hash, whatever is wrong: no account, no password set, an
// empty guess or one too long to be right.
func (s *Service) verify(ctx context.Context, password secret.String, encoded string) (match, outdated bool, err error) {
	v := password.Reveal()
	if v == "" || len(v) > maxPassword {
		v, encoded = "-", ""
	}
	if encoded == "" {
		return false, false, s.hasher.VerifyDummy(ctx, v)
	}
	return s.hasher.Verify(ctx, v, encoded)
}

// guarded is verify as a guess that has been judged. It notes a wrong one; the caller ends the guess.
func (s *Service) guarded(ctx context.Context, g *guess, password secret.String, encoded string) (match, outdated bool, err error) {
	match, outdated, err = s.verify(ctx, password, encoded)
	if err != nil {
		return false, false, fmt.Errorf("verify password: %w", err)
	}
	g.missed = !match
	return match, outdated, nil
}
