package keyring

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
)

// Notary signs with Ed25519 keys derived for one purpose, so that nothing about them is stored anywhere: whoever has
// the configured secret can sign, whoever has a public half can check. It is safe for concurrent use.
type Notary struct {
	current ed25519.PrivateKey
	id      string
	byID    map[string]ed25519.PublicKey
}

// Notary makes the notary of a purpose. Signatures of listed former secrets still verify.
func (r *Ring) Notary(purpose string) (*Notary, error) {
	keys, err := r.derive(purpose)
	if err != nil {
		return nil, err
	}
	n := &Notary{byID: map[string]ed25519.PublicKey{}}
	for i, k := range keys {
		private := ed25519.NewKeyFromSeed(k.key)
		public := private.Public().(ed25519.PublicKey)
		id := fingerprint(public)
		if n.byID[id] = public; i == 0 {
			n.current, n.id = private, id
		}
	}
	return n, nil
}

// Sign signs message with the current key.
func (n *Notary) Sign(message []byte) (keyID string, signature []byte) {
	return n.id, ed25519.Sign(n.current, message)
}

// Verify reports whether the key with this id made the signature.
func (n *Notary) Verify(keyID string, message, signature []byte) bool {
	public, known := n.byID[keyID]
	return known && ed25519.Verify(public, message, signature)
}

func fingerprint(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}
