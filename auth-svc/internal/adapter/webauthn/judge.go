package webauthn

import (
	"errors"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"cloakroom.dev/auth-svc/internal/identity"
)

// The bounds of what is stored. RSA of 4096 bits fits; what is larger is work that somebody else would choose for us.
const (
	maxPublicKeyBytes    = 600
	maxCredentialIDBytes = 1023 // the standard's
)

var (
	errTooLarge    = errors.New("the key or its id is too large")
	errAttestation = errors.New("an attestation that nobody asked for")
	errKey         = errors.New("the key is not of its algorithm's kind")
)

// ReadCreated reads the answer to CreationOptions.
func (a *Adapter) ReadCreated(answer []byte) (identity.PasskeyAnswer, error) {
	p, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return identity.PasskeyAnswer{}, refuse(err)
	}
	return identity.PasskeyAnswer{Challenge: p.Response.CollectedClientData.Challenge, CredentialID: p.RawID}, nil
}

// ReadAnswer reads the answer to RequestOptions.
func (a *Adapter) ReadAnswer(answer []byte) (identity.PasskeyAnswer, error) {
	p, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return identity.PasskeyAnswer{}, refuse(err)
	}
	return identity.PasskeyAnswer{
		Challenge: p.Response.CollectedClientData.Challenge, CredentialID: p.RawID, Handle: p.Response.UserHandle,
	}, nil
}

// Created judges a new passkey. It takes no statement on who made the authenticator, but for one that the new key has
// signed itself, which browsers let through.
func (a *Adapter) Created(challenge string, owner identity.PasskeyOwner, alone bool, answer []byte) (identity.Passkey, error) {
	p, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return identity.Passkey{}, refuse(err)
	}
	object := p.Response.AttestationObject
	_, certified := object.AttStatement["x5c"]
	if object.Format != string(protocol.AttestationFormatNone) && (object.Format != string(protocol.AttestationFormatPacked) || certified) {
		return identity.Passkey{}, refuse(errAttestation)
	}
	if data := object.AuthData.AttData; len(data.CredentialID) > maxCredentialIDBytes || len(data.CredentialPublicKey) > maxPublicKeyBytes {
		return identity.Passkey{}, refuse(errTooLarge)
	}
	c, err := a.lib.CreateCredential(person{id: owner.Handle, name: owner.Name}, webauthn.SessionData{
		Challenge: challenge, UserID: owner.Handle, UserVerification: verification(alone), CredParams: algorithms,
	}, p)
	if err != nil {
		return identity.Passkey{}, refuse(err)
	}
	if !fits(c.PublicKey) {
		return identity.Passkey{}, refuse(errKey)
	}
	return identity.Passkey{
		CredentialID: c.ID, PublicKey: c.PublicKey, SignCount: c.Authenticator.SignCount,
		BackupEligible: c.Flags.BackupEligible, Transports: transports(c.Transport),
	}, nil
}

// fits reports whether a key is whole and of the curve or size that its algorithm is for. Without an attestation nothing
// has been signed with it yet.
func fits(cose []byte) bool {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return false
	}
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		return k.Algorithm == int64(webauthncose.AlgES256) && k.Curve == int64(webauthncose.P256)
	case webauthncose.OKPPublicKeyData:
		return k.Algorithm == int64(webauthncose.AlgEdDSA) && k.Curve == int64(webauthncose.Ed25519)
	case webauthncose.RSAPublicKeyData:
		return k.Algorithm == int64(webauthncose.AlgRS256) && len(k.Modulus) >= 256
	default:
		return false
	}
}

// transports keeps the words of the standard: the rest could be anything.
func transports(given []protocol.AuthenticatorTransport) (out []string) {
	known := []protocol.AuthenticatorTransport{
		protocol.BLE, protocol.Hybrid, protocol.Internal, protocol.NFC, protocol.SmartCard, protocol.USB,
	}
	for _, t := range known {
		if slices.Contains(given, t) {
			out = append(out, string(t))
		}
	}
	slices.Sort(out)
	return out
}

// Answered judges an answer. The handle in it is the core's to compare: here it is taken at its word, so that a wrong one
// costs what a right one does.
func (a *Adapter) Answered(challenge string, passkey identity.Passkey, verify bool, answer []byte) (count uint32, err error) {
	p, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return 0, refuse(err)
	}
	known := webauthn.Credential{
		ID: passkey.CredentialID, PublicKey: passkey.PublicKey, Flags: webauthn.CredentialFlags{BackupEligible: passkey.BackupEligible},
	}
	if len(passkey.PublicKey) == 0 {
		known.ID, known.PublicKey = p.RawID, a.dummy
	}
	handle := p.Response.UserHandle
	if len(handle) == 0 {
		handle = []byte{0}
	}
	session := webauthn.SessionData{Challenge: challenge, UserID: handle, UserVerification: verification(verify)}
	if _, err := a.lib.ValidateLogin(person{id: handle, passkeys: []webauthn.Credential{known}}, session, p); err != nil {
		return 0, refuse(err)
	}
	return p.Response.AuthenticatorData.Counter, nil
}

// person is somebody as the library wants them.
type person struct {
	id       []byte
	name     string
	passkeys []webauthn.Credential
}

func (p person) WebAuthnID() []byte                         { return p.id }
func (p person) WebAuthnName() string                       { return p.name }
func (p person) WebAuthnDisplayName() string                { return p.name }
func (p person) WebAuthnCredentials() []webauthn.Credential { return p.passkeys }
