package dialect

import "cloakroom.dev/auth-svc/internal/identity"

// Names puts one name, whatever it is, where the core keeps such names: what looks like a mail address is one, what looks like
// a phone number is one, and the rest are usernames. So a person is found by it in every contract.
func Names(in identity.SignupInput, name string) identity.SignupInput {
	switch KindOf(name) {
	case identity.Email:
		in.Email = name
	case identity.Phone:
		in.Phone = name
	default:
		in.Username = name
	}
	return in
}

// KindOf says which kind of name this is.
func KindOf(name string) identity.IdentifierKind {
	id, _ := identity.ParseIdentifier(name)
	return id.Kind
}

// NameOf is the one name that contracts with a single one show a person by: the first there is.
func NameOf(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}
