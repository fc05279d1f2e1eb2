package identity

// IdentifierKind says which of a person's names something is.
type IdentifierKind string

// The kinds of identifiers. Their canonical forms can't be mistaken for one another.
const (
	Email    IdentifierKind = "email"
	Phone    IdentifierKind = "phone"
	Username IdentifierKind = "username"
)

// Identifier is a name in canonical form.
type Identifier struct {
	Kind IdentifierKind
	Key  string
}
