// Package webauthntest is an authenticator in software, for tests: it makes passkeys and signs with them as the standard
// says, or in every wrong way a test asks for. It is written from the standard and shares no code with what judges it.
package webauthntest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"
)

// The flags of authenticator data.
const (
	FlagPresent  = 0x01
	FlagVerified = 0x04
	flagAttested = 0x40
)

// Key is an authenticator that holds one passkey. The exported fields may be changed between answers.
type Key struct {
	Origin string // of the page it is asked from
	RPID   string // of the site it answers for
	Flags  byte   // that it sets: it has seen a person, and which
	Count  uint32 // of the next answer; 0 for one that does not count
	Handle []byte // whose it is
	ID     []byte

	// ClientData and AuthData change what is signed, Signed what has been. Each may be nil.
	ClientData func(map[string]any)
	AuthData   func([]byte) []byte
	Signed     func(response map[string]any)
	// PublicKey replaces the COSE form of the new key. It may be nil.
	PublicKey []byte

	t       testing.TB
	private *ecdsa.PrivateKey
}

// New makes an authenticator that is asked from pages of origin, and checks its owner.
func New(t testing.TB, origin, rpID string) *Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := &Key{Origin: origin, RPID: rpID, Flags: FlagPresent | FlagVerified, Count: 1, ID: make([]byte, 32), t: t, private: private}
	_, _ = rand.Read(k.ID)
	return k
}

// Clone is a copy of the key in other hands.
func (k *Key) Clone() *Key {
	twin := *k
	return &twin
}

var text = base64.RawURLEncoding

type options struct {
	Challenge string `json:"challenge"`
	User      struct {
		ID string `json:"id"`
	} `json:"user"`
}

func (k *Key) read(raw []byte) (o options) {
	k.t.Helper()
	if err := json.Unmarshal(raw, &o); err != nil || o.Challenge == "" {
		k.t.Fatalf("options %q: %v", raw, err)
	}
	return o
}

// Create answers creation options with a new credential, as PublicKeyCredential.toJSON() gives it.
func (k *Key) Create(creation []byte) json.RawMessage {
	k.t.Helper()
	o := k.read(creation)
	var err error
	if k.Handle, err = text.DecodeString(o.User.ID); err != nil {
		k.t.Fatal(err)
	}
	data := k.authData(flagAttested)
	data = append(data, make([]byte, 16)...) // an AAGUID that tells nothing
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.ID)))
	data = append(append(data, k.ID...), k.cose()...)
	if k.AuthData != nil {
		data = k.AuthData(data)
	}
	k.tick()
	object := append([]byte{0xa3}, cborText("fmt")...)
	object = append(append(object, cborText("none")...), cborText("attStmt")...)
	object = append(append(object, 0xa0), cborText("authData")...)
	object = append(append(object, 0x59, byte(len(data)>>8), byte(len(data))), data...)
	return k.credential(map[string]any{
		"clientDataJSON":    text.EncodeToString(k.clientData("webauthn.create", o.Challenge)),
		"attestationObject": text.EncodeToString(object),
		"transports":        []string{"internal", "https://example.org/<script>"},
	})
}

// Answer answers request options with a signature.
func (k *Key) Answer(request []byte) json.RawMessage {
	k.t.Helper()
	client, data := k.clientData("webauthn.get", k.read(request).Challenge), k.authData(0)
	if k.AuthData != nil {
		data = k.AuthData(data)
	}
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := k.private.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		k.t.Fatal(err)
	}
	k.tick()
	return k.credential(map[string]any{
		"clientDataJSON": text.EncodeToString(client), "authenticatorData": text.EncodeToString(data),
		"signature": text.EncodeToString(signature), "userHandle": text.EncodeToString(k.Handle),
	})
}

func (k *Key) tick() {
	if k.Count > 0 {
		k.Count++
	}
}

func (k *Key) credential(response map[string]any) json.RawMessage {
	if k.Signed != nil {
		k.Signed(response)
	}
	raw, err := json.Marshal(map[string]any{
		"id": text.EncodeToString(k.ID), "rawId": text.EncodeToString(k.ID), "type": "public-key",
		"authenticatorAttachment": "platform", "clientExtensionResults": map[string]any{}, "response": response,
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return raw
}

func (k *Key) clientData(kind, challenge string) []byte {
	data := map[string]any{"type": kind, "challenge": challenge, "origin": k.Origin, "crossOrigin": false}
	if k.ClientData != nil {
		k.ClientData(data)
	}
	raw, err := json.Marshal(data)
	if err != nil {
		k.t.Fatal(err)
	}
	return raw
}

func (k *Key) authData(flags byte) []byte {
	site := sha256.Sum256([]byte(k.RPID))
	return binary.BigEndian.AppendUint32(append(site[:], k.Flags|flags), k.Count)
}

// cose is the public key as RFC 9053 writes it.
func (k *Key) cose() []byte {
	if k.PublicKey != nil {
		return k.PublicKey
	}
	return COSE(k.t, &k.private.PublicKey, -7)
}

// COSE writes a P-256 key under the number of an algorithm, be it the right one or not. It takes -1 to -24 and -257 to
// -65536.
func COSE(t testing.TB, public *ecdsa.PublicKey, algorithm int) []byte {
	t.Helper()
	point, err := public.Bytes() // 4 | x | y
	if err != nil {
		t.Fatal(err)
	}
	n := -1 - algorithm
	out := []byte{0xa5, 1, 2, 3, 0x20 | byte(n)}
	if n > 23 {
		out = append(out[:4], 0x39, byte(n>>8), byte(n))
	}
	out = append(append(out, 0x20, 1, 0x21, 0x58, 32), point[1:33]...)
	return append(append(out, 0x22, 0x58, 32), point[33:]...)
}

// Public is the public half.
func (k *Key) Public() *ecdsa.PublicKey { return &k.private.PublicKey }

func cborText(s string) []byte {
	if len(s) > 23 {
		panic(fmt.Sprintf("%q is too long for this little of CBOR", s))
	}
	return append([]byte{0x60 | byte(len(s))}, s...)
}
