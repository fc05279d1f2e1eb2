package identitytest

import (
	"crypto/sha256"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Notary signs with a keyed hash.
type Notary struct{ Key string }

var _ identity.Notary = Notary{}

// Sign signs message.
func (n Notary) Sign(message []byte) (string, []byte) {
	sum := sha256.Sum256(append([]byte("notary "+n.Key), message...))
	return "key " + n.Key, sum[:]
}

// Verify checks a signature.
func (n Notary) Verify(keyID string, message, signature []byte) bool {
	id, want := n.Sign(message)
	return id == keyID && string(want) == string(signature)
}

// SetAudit puts other rows in place of a memory store's trail, as somebody with the database in hand could.
func SetAudit(store identity.Store, rows []identity.AuditRow) {
	m := store.(*memory)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.audit = rows
}

// Rechain makes the rows from one on follow one another again, as somebody who knows how the chain is made could.
func Rechain(rows []identity.AuditRow, from int) {
	for i := from; i < len(rows); i++ {
		if i > 0 {
			rows[i].PrevHash = rows[i-1].Hash
		}
		rows[i].Hash = identity.AuditHash(rows[i])
	}
}
