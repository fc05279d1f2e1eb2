package identity

import (
	"net/netip"
	"time"

	"cloakroom.dev/libs/secret"
)

// Session is one sign-in on one device. Ended sessions have no row.
type Session struct {
	ID         string
	UserID     string
	DeviceName string
	UserAgent  string
	Address    netip.Addr // of the sign-in or the last refresh
	CreatedAt  time.Time

	RefreshedAt  time.Time // last rotation, zero for never
	RefreshUntil time.Time // the live refresh token, and so the session, ends here
	AccessUntil  time.Time // no access token of this session outlives this

	Policy string // name of the SessionPolicy the session follows; empty for the one of everybody

	ProvedAt time.Time // when the owner last showed to be the person
	Proof    Proof     // and how

	Generation   int64 // of the live refresh token; the first is 1
	SecretHash   [32]byte
	PreviousHash [32]byte // zero in generation 1
	Sealed       []byte   // the live secret, sealed under the previous one; empty in generation 1
}

// RefreshCount is how often the session has been refreshed.
func (s Session) RefreshCount() int64 { return s.Generation - 1 }

// Client is the other end of a request, as far as it is kept with a session.
type Client struct {
	Address    netip.Addr
	UserAgent  string
	DeviceName string // what the person calls it; may be empty

	// Policy names the SessionPolicy that a session opened by this client follows for life, and that a password chosen
	// here must suit. Empty is the one of everybody.
	Policy string
	// Claims adds to the access token what clients of another contract expect in it; nil adds nothing. It must not name
	// what the token says already.
	Claims func(u User, s Session) map[string]string
}

// Tokens is what a client carries away.
type Tokens struct {
	AccessToken      secret.String
	ExpiresIn        time.Duration
	RefreshToken     secret.String
	RefreshExpiresAt time.Time
	SessionID        string
}

// Entry is the answer to a signup or login: who came in, and with what. When a second factor is still to be shown
// there is only Pending.
type Entry struct {
	User    User
	Rights  Rights
	Tokens  Tokens
	Pending *PendingLogin
}

// Cursor is a place in a list ordered by creation, newest first. The zero value is the beginning. Adapters seal it.
type Cursor struct {
	At time.Time `json:"at"`
	ID string    `json:"id"`
}

// IsZero reports whether the cursor is the beginning.
func (c Cursor) IsZero() bool { return c.ID == "" }

// Page is one stretch of a list. Next is zero on the last one.
type Page[T any] struct {
	Items []T
	Next  Cursor
}
