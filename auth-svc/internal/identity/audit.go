package identity

import "time"

// AuditRow is one thing done. Rows form a chain: Hash covers every field and PrevHash. Detail is a JSON object
// that names no person but by id, so that erasing someone leaves the chain whole.
type AuditRow struct {
	Seq      int64
	At       time.Time
	Actor    string // user:<id>, api_key:<id> or system
	Action   string // session.login, user.block, …
	Target   string // user:<id>, session:<id>, …
	Detail   []byte
	PrevHash [32]byte
	Hash     [32]byte
}
