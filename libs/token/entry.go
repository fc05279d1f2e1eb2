package token

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Kind says what a log entry revokes.
type Kind string

// The kinds of the revocation log.
const (
	KindSession     Kind = "session"      // id is a session: every token of it is dead
	KindUserEpoch   Kind = "user_epoch"   // id is a person: tokens that know only an older epoch are stale
	KindUserDeleted Kind = "user_deleted" // id is a person: every token of theirs is dead
	KindSigningKey  Kind = "signing_key"  // id is a kid: every token it signed is dead
	KindAPIKey      Kind = "api_key"      // id is an API key: every token it was exchanged for is dead
	KindRoleEpoch   Kind = "role_epoch"   // id is a role: tokens of its holders that know only an older epoch are stale
)

// kinds gives each kind its table in an entrySet.
var kinds = [...]Kind{KindSession, KindUserEpoch, KindUserDeleted, KindSigningKey, KindAPIKey, KindRoleEpoch}

const (
	sessions = iota
	userEpochs
	deletedUsers
	signingKeys
	apiKeys
	roleEpochs
)

func (k Kind) index() (int, bool) {
	for i, kind := range kinds {
		if k == kind {
			return i, true
		}
	}
	return 0, false
}

// Entry is one position of the revocation log. Until is when the last token it could concern has expired: from then on
// it may be forgotten.
type Entry struct {
	Seq   int64     `json:"seq"`
	Kind  Kind      `json:"kind"`
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`

	// Status is the person's when a user_epoch was sent, StatusActive or StatusBlocked: for what others may do on the
	// person's behalf, such as follow their links. It is empty for other kinds, for whoever is gone, and from senders of
	// before it was told.
	Status string `json:"status,omitempty"`
}

// Mark tells an entry from any other that has, or will have, its number in a log that was put back: what it is about, and
// when it was made.
func (e Entry) Mark() string {
	sum := sha256.Sum256([]byte(string(e.Kind) + "\x00" + e.ID + "\x00" + strconv.FormatInt(e.At.UnixMicro(), 10)))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// A follower whose stream broke names the newest entry it has in LastEntryHeader. Where the log still has that very entry, the
// answer has its number in ResumedHeader, and the stream goes on behind it; otherwise it begins where the query says.
const (
	LastEntryHeader = "Cloakroom-Last-Entry"
	ResumedHeader   = "Cloakroom-Resumed-After"
)

// lastEntry is the header's value for an entry.
func lastEntry(e Entry) string { return formatSeq(e.Seq) + " " + e.Mark() }

// ParseLastEntry reads the value of LastEntryHeader.
func ParseLastEntry(value string) (seq int64, mark string, ok bool) {
	number, mark, _ := strings.Cut(value, " ")
	seq, err := strconv.ParseInt(number, 10, 64)
	return seq, mark, err == nil && seq > 0 && mark != ""
}

// The statuses of a person.
const (
	StatusActive  = "active"
	StatusBlocked = "blocked"
)
