package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"
)

// AuditRow is one thing done. Rows form a chain: Hash covers every field and PrevHash. Detail is a JSON object that
// names no person but by id. What else is worth keeping of a person is Sealed under a key of theirs: erasing somebody
// forgets the key, and leaves the chain whole.
type AuditRow struct {
	Seq      int64
	At       time.Time
	Actor    string // user:<id>, api_key:<id>, operator or system
	Action   string // session.login, user.status, …
	Target   string // user:<id>, session:<id>, …
	Detail   []byte
	Subject  string // whose key seals Sealed; empty when there is nothing sealed
	Sealed   []byte
	PrevHash [32]byte
	Hash     [32]byte
}

// hash covers every field, each with its length, so that no two rows can be written alike. Rows without a sealed part
// are hashed as they were before there was one.
func (r AuditRow) hash() [32]byte {
	form, fields := "cloakroom audit v1", [][]byte{[]byte(r.Actor), []byte(r.Action), []byte(r.Target), r.Detail}
	if r.Subject != "" || len(r.Sealed) > 0 {
		form, fields = "cloakroom audit v2", append(fields, []byte(r.Subject), r.Sealed)
	}
	b := append([]byte(form), r.PrevHash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(r.At.UnixMicro()))
	for _, f := range fields {
		b = binary.BigEndian.AppendUint64(b, uint64(len(f)))
		b = append(b, f...)
	}
	return sha256.Sum256(b)
}

// Follows reports whether the row is whole and stands right after prev; the first row follows the zero row.
func (r AuditRow) Follows(prev AuditRow) bool {
	return r.Seq == prev.Seq+1 && r.PrevHash == prev.Hash && r.Hash == r.hash()
}

// AuditEntry is a row with what it says of a person, as long as that has not been forgotten.
type AuditEntry struct {
	AuditRow
	Personal  json.RawMessage // nil when nothing was sealed, or when it is forgotten
	Forgotten bool
}

// AuditFilter narrows the trail. Empty fields match every row.
type AuditFilter struct {
	Actor, Action, Target string
	UserID                string    // rows of which this person is actor, target or subject
	Since, Until          time.Time // from and before
}

// AuditHash is what a row's Hash must be, for tests and for whoever checks an export by other means.
func AuditHash(r AuditRow) [32]byte { return r.hash() }
