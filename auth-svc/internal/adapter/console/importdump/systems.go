package importdump

import (
	"strings"

	"cloakroom.dev/auth-svc/internal/identity"
)

// restAuthFiles reads MySQL's table of rest-auth-files: id (an email or a phone), password_hash (bcrypt), created_at.
func restAuthFiles(r *row) identity.Incoming {
	in := identity.Incoming{
		ID: r.text("id", "id"), CreatedAt: r.time("created_at", "created_at"),
		Password: identity.ForeignHash{Encoded: r.text("password", "password_hash", "password")},
	}
	switch {
	case strings.Contains(in.ID, "@"):
		in.Email = in.ID
	case strings.HasPrefix(in.ID, "+"):
		in.Phone = in.ID
	default:
		in.Username = in.ID // what is neither; a number without its country lets people in under the name they typed there
	}
	return in
}

// siteworks reads Postgres' table of siteworks.
func siteworks(r *row) identity.Incoming {
	in := identity.Incoming{
		ID: r.text("id", "id"), Email: r.text("email", "email"), Name: r.text("name", "name"),
		EmailVerified: r.flag("email_verified", false, "isVerified"), CreatedAt: r.time("created_at", "createdAt"),
		Password: identity.ForeignHash{Encoded: r.text("password", "password")},
	}
	if !r.flag("status", true, "isActive") {
		in.Status = identity.Blocked
	}
	return in
}

// trackit reads SQLite's table of trackit, or Postgres' of its later versions.
func trackit(r *row) identity.Incoming {
	return identity.Incoming{
		ID: r.text("id", "id"), Username: r.text("username", "username"), Email: r.text("email", "email"),
		CreatedAt: r.time("created_at", "created_at"), Password: identity.ForeignHash{Encoded: r.text("password", "password")},
	}
}
