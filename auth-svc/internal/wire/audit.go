// Package wire is what leaves the service in more than one way: over HTTP and from the command line, in one shape.
package wire

import (
	"encoding/hex"
	"encoding/json"

	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// AuditEntry is one row of the audit trail.
type AuditEntry struct {
	Seq       int64           `json:"seq"`
	At        web.Time        `json:"at"`
	Actor     string          `json:"actor"`
	Action    string          `json:"action"`
	Target    string          `json:"target"`
	Detail    json.RawMessage `json:"detail"`
	Personal  json.RawMessage `json:"personal"` // null when there is none, or none any more
	Forgotten bool            `json:"forgotten"`
	PrevHash  string          `json:"prev_hash"`
	Hash      string          `json:"hash"`
}

// NewAuditEntry renders a row.
func NewAuditEntry(e identity.AuditEntry) AuditEntry {
	return AuditEntry{
		Seq: e.Seq, At: web.Time(e.At), Actor: e.Actor, Action: e.Action, Target: e.Target, Detail: e.Detail,
		Personal: e.Personal, Forgotten: e.Forgotten,
		PrevHash: hex.EncodeToString(e.PrevHash[:]), Hash: hex.EncodeToString(e.Hash[:]),
	}
}
