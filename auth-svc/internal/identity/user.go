package identity

import (
	"time"

	"cloakroom.dev/libs/principal"
)

// Status says whether a person may come in.
type Status string

// The statuses.
const (
	Active  Status = "active"
	Blocked Status = "blocked"
)

// User is a person. At least one of Email, Phone and Username is set.
type User struct {
	ID          string
	Name        string // shown, may be empty
	Email       string // the bytes the person typed: mail goes there
	EmailKey    string // canonical form, unique
	Phone       string // E.164, its own canonical form, unique
	Username    string
	UsernameKey string // canonical form, unique

	PasswordHash string // empty: no password can open this account
	Status       Status
	Roles        []string               // sorted
	Permissions  []principal.Permission // the person's own, besides those of the roles
	Epoch        int64                  // position in the log of the last change of rights; 0 for never

	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
	LastLoginAt time.Time // zero for never

	EmailVerifiedAt time.Time // when somebody has shown to read the mail of Email; zero for never
}

// Rights is what a person may do at one moment.
type Rights struct {
	Status      Status
	Roles       []string               // sorted
	Permissions []principal.Permission // of roles and person together, sorted by their text, each once
	Epoch       int64                  // the newest of the person's and the roles'
}

// Role names a set of permissions.
type Role struct {
	Name        string // a word without blanks
	Permissions []principal.Permission
	BuiltIn     bool
	Epoch       int64 // position in the log of the last change by somebody; 0 for a built-in role as it came
}
