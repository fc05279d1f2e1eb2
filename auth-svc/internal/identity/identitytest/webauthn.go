package identitytest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// WebAuthn is WebAuthn without its formats: a "signature" is a hash under a key that is public and private at once.
type WebAuthn struct{}

var _ identity.WebAuthn = WebAuthn{}

// passkeyQuestion is options as this double writes them.
type passkeyQuestion struct {
	Challenge string
	Handle    []byte
	Allow     [][]byte
	Verify    bool
}

// Answer is what a Key says.
type Answer struct {
	Challenge    string
	CredentialID []byte
	Handle       []byte
	Public       []byte // of a new one
	Count        uint32
	Verified     bool
	Signature    []byte
}

func (a Answer) sum(key []byte) []byte {
	a.Signature = nil
	b, _ := json.Marshal(a)
	sum := sha256.Sum256(append(b, key...))
	return sum[:]
}

func ids(passkeys []identity.Passkey) (out [][]byte) {
	for _, p := range passkeys {
		out = append(out, p.CredentialID)
	}
	return out
}

// CreationOptions asks.
func (WebAuthn) CreationOptions(challenge string, owner identity.PasskeyOwner, have []identity.Passkey, alone bool) ([]byte, error) {
	return json.Marshal(passkeyQuestion{Challenge: challenge, Handle: owner.Handle, Allow: ids(have), Verify: alone})
}

// RequestOptions asks.
func (WebAuthn) RequestOptions(challenge string, allow []identity.Passkey, verify bool) ([]byte, error) {
	return json.Marshal(passkeyQuestion{Challenge: challenge, Allow: ids(allow), Verify: verify})
}

// ReadCreated reads.
func (w WebAuthn) ReadCreated(answer []byte) (identity.PasskeyAnswer, error) {
	return w.ReadAnswer(answer)
}

// ReadAnswer reads.
func (WebAuthn) ReadAnswer(answer []byte) (identity.PasskeyAnswer, error) {
	a, err := readAnswer(answer)
	return identity.PasskeyAnswer{Challenge: a.Challenge, CredentialID: a.CredentialID, Handle: a.Handle}, err
}

var errAnswer = fault.New(fault.InvalidCredentials, "the answer does not hold")

func readAnswer(raw []byte) (a Answer, err error) {
	if json.Unmarshal(raw, &a) != nil {
		return a, errAnswer
	}
	return a, nil
}

// Created judges.
func (WebAuthn) Created(challenge string, _ identity.PasskeyOwner, alone bool, answer []byte) (identity.Passkey, error) {
	a, err := readAnswer(answer)
	if err != nil || a.Challenge != challenge || alone && !a.Verified || string(a.Signature) != string(a.sum(a.Public)) {
		return identity.Passkey{}, errAnswer
	}
	return identity.Passkey{CredentialID: a.CredentialID, PublicKey: a.Public, SignCount: a.Count}, nil
}

// Answered judges.
func (WebAuthn) Answered(challenge string, p identity.Passkey, verify bool, answer []byte) (uint32, error) {
	a, err := readAnswer(answer)
	if err != nil || a.Challenge != challenge || verify && !a.Verified || string(a.Signature) != string(a.sum(p.PublicKey)) {
		return 0, errAnswer
	}
	return a.Count, nil
}

// Key is an authenticator with one passkey.
type Key struct {
	t        testing.TB
	ID       []byte
	Secret   []byte
	Handle   []byte
	Count    uint32 // of the next answer
	Verifies bool   // it asks its owner for a PIN
}

// NewKey makes an authenticator that verifies its owner and counts.
func NewKey(t testing.TB) *Key {
	id := newID()
	return &Key{t: t, ID: []byte(id), Secret: []byte("secret of " + id), Count: 1, Verifies: true}
}

// Create answers creation options.
func (k *Key) Create(options []byte) []byte {
	q := k.read(options)
	k.Handle = q.Handle
	return k.sign(Answer{Challenge: q.Challenge, CredentialID: k.ID, Handle: q.Handle, Public: k.Secret})
}

// Answer answers request options.
func (k *Key) Answer(options []byte) []byte {
	return k.sign(Answer{Challenge: k.read(options).Challenge, CredentialID: k.ID, Handle: k.Handle})
}

func (k *Key) read(options []byte) (q passkeyQuestion) {
	k.t.Helper()
	if err := json.Unmarshal(options, &q); err != nil {
		k.t.Fatalf("options %q: %v", options, err)
	}
	return q
}

func (k *Key) sign(a Answer) []byte {
	a.Count, a.Verified = k.Count, k.Verifies
	if k.Count > 0 {
		k.Count++
	}
	a.Signature = a.sum(k.Secret)
	b, err := json.Marshal(a)
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

// WithPasskey gives a person a passkey, set up before it is made, and returns it and what came with it.
func (w *World) WithPasskey(tokens identity.Tokens, set ...func(*Key)) (*Key, []secret.String) {
	w.T.Helper()
	k := NewKey(w.T)
	for _, s := range set {
		s(k)
	}
	e, err := w.Service.EnrolPasskey(w.T.Context(), w.Caller(tokens), "key")
	if err != nil {
		w.T.Fatalf("enrol: %v", err)
	}
	codes, err := w.Service.ConfirmPasskey(w.T.Context(), w.Caller(tokens), Laptop, e.Factor.ID, k.Create(e.Options))
	if err != nil {
		w.T.Fatalf("confirm: %v", err)
	}
	return k, codes
}

// AskPasskey is the question of a login without a name.
func (w *World) AskPasskey() []byte {
	w.T.Helper()
	options, err := w.Service.AskPasskeyLogin(w.T.Context())
	if err != nil {
		w.T.Fatal(err)
	}
	return options
}

// ShowPasskey tries to come in with an answer alone.
func (w *World) ShowPasskey(answer []byte) (identity.Entry, error) {
	return w.Service.LoginPasskey(w.T.Context(), identity.PasskeyInput{Answer: answer, Client: Laptop})
}

// parallelPasskey: one answer lets one in.
func parallelPasskey(t *testing.T, w *World) {
	k, _ := w.WithPasskey(w.SignUp("ada").Tokens)
	answer := k.Answer(w.AskPasskey())
	if ok, wrong, _ := atOnce(12, func(int) error { _, err := w.ShowPasskey(answer); return err }); ok != 1 || wrong != 11 {
		t.Errorf("one answer let %d in, and %d not", ok, wrong)
	}
	for n := range 3 { // others are good all the while
		if _, err := w.ShowPasskey(k.Answer(w.AskPasskey())); err != nil {
			t.Errorf("%d: %v", n, fmt.Errorf("another answer: %w", err))
		}
	}
}

// Countless is an authenticator that does not count.
func Countless(k *Key) { k.Count = 0 }
