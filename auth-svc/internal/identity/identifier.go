package identity

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"cloakroom.dev/libs/fault"
)

// IdentifierKind says which of a person's names something is.
type IdentifierKind string

// The kinds of identifiers. Their canonical forms can't be mistaken for one another.
const (
	Email    IdentifierKind = "email"
	Phone    IdentifierKind = "phone"
	Username IdentifierKind = "username"
)

// Identifier is a name in canonical form: what is unique, and what is looked up.
type Identifier struct {
	Kind IdentifierKind
	Key  string
}

// ParseIdentifier finds out which kind of name was typed at a login, and its canonical form.
func ParseIdentifier(typed string) (Identifier, bool) {
	typed = strings.TrimSpace(typed)
	kind, canonical := Username, canonicalUsername
	switch {
	case strings.Contains(typed, "@"):
		kind, canonical = Email, canonicalEmail
	case strings.HasPrefix(norm.NFKC.String(clip(typed, 64)), "+"):
		kind, canonical = Phone, canonicalPhone
	}
	key, ok := canonical(typed)
	return Identifier{Kind: kind, Key: key}, ok
}

// setEmail, setPhone and setUsername give the user that name, or take it away when typed is empty.

func (u *User) setEmail(typed string) []fault.Field {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		u.Email, u.EmailKey, u.EmailVerifiedAt = "", "", time.Time{}
		return nil
	}
	key, ok := canonicalEmail(typed)
	if !ok {
		return []fault.Field{{Field: "email", Code: "INVALID", Detail: "must be a mail address such as ada@example.org"}}
	}
	if key != u.EmailKey {
		u.EmailVerifiedAt = time.Time{}
	}
	u.Email, u.EmailKey = typed, key
	return nil
}

func (u *User) setPhone(typed string) []fault.Field {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		u.Phone = ""
		return nil
	}
	key, ok := canonicalPhone(typed)
	if !ok {
		return []fault.Field{{Field: "phone", Code: "INVALID", Detail: "must be a number in international form such as +442071838750"}}
	}
	u.Phone = key
	return nil
}

func (u *User) setUsername(typed string) []fault.Field {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		u.Username, u.UsernameKey = "", ""
		return nil
	}
	key, ok := canonicalUsername(typed)
	if !ok {
		return []fault.Field{{
			Field: "username", Code: "INVALID",
			Detail: "must be 1 to 64 letters, digits, dots, dashes or underscores, and start with a letter or digit",
		}}
	}
	u.Username, u.UsernameKey = norm.NFC.String(typed), key
	return nil
}

const maxNameRunes = 100

func (u *User) setName(typed string) []fault.Field {
	name := norm.NFC.String(strings.TrimSpace(typed))
	if utf8.RuneCountInString(name) > maxNameRunes || !isShowable(name) {
		return []fault.Field{{Field: "name", Code: "INVALID", Detail: "must be at most 100 characters, without control characters"}}
	}
	u.Name = name
	return nil
}

// isShowable refuses what changes how the text around it is shown: control characters and the overrides of direction.
func isShowable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || (r >= 0x202A && r <= 0x202E) || (r >= 0x2066 && r <= 0x2069) || r == 0x2028 || r == 0x2029
	})
}

// clip cuts s to at most n bytes, at a character's edge.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
