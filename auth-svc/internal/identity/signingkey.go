package identity

import "time"

// KeyState is where a signing key is in its life: next, current, retiring; gone keys have no row.
type KeyState string

// The states of a signing key.
const (
	KeyNext     KeyState = "next"     // published, signs later
	KeyCurrent  KeyState = "current"  // published, signs
	KeyRetiring KeyState = "retiring" // published until its last token has expired
)

// SigningKey signs access tokens. Its algorithm is fixed for life.
type SigningKey struct {
	ID         string // kid
	Algorithm  string
	Public     []byte // PKIX, DER
	Sealed     []byte // the private half, only ever sealed
	State      KeyState
	CreatedAt  time.Time // published from here on
	ActivateAt time.Time // when a next key becomes, or a current one became, current; zero for unplanned
	GoneAt     time.Time // when a retiring key goes; zero before
}
