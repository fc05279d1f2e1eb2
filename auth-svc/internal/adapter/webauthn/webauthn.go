// Package webauthn asks authenticators for passkeys and judges what they answer, after the W3C's Web Authentication,
// level 3.
//
// Site and origins are those it is made with; nothing of a request has a say in them. Challenges come from the core and
// are good once by its doing. Nobody is asked what their authenticator was made by (attestation none), and only three
// algorithms are taken: ES256, EdDSA and RS256. The counter of an authenticator is read here and compared in the core,
// where it is written.
package webauthn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
)

// Site is for whom passkeys are made.
type Site struct {
	ID      string   // the domain that passkeys belong to
	Name    string   // shown to people
	Origins []string // where pages may ask: scheme, host and port
}

// Adapter speaks WebAuthn for one site. It is safe for concurrent use.
type Adapter struct {
	lib   *webauthn.WebAuthn
	dummy []byte // a public key of nobody, for passkeys that are not known
}

var _ identity.WebAuthn = (*Adapter)(nil)

// New checks the site.
func New(site Site) (*Adapter, error) {
	lib, err := webauthn.New(&webauthn.Config{
		RPID: site.ID, RPDisplayName: site.Name, RPOrigins: site.Origins,
		AttestationPreference: protocol.PreferNoAttestation,
		// Some password managers tell what nobody asked for. Nothing of it is used.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	if err := protocol.ValidateRPID(site.ID); err != nil {
		return nil, fmt.Errorf("passkeys need a domain name as their site, and %q is none: %w", site.ID, err)
	}
	dummy, err := dummyKey()
	return &Adapter{lib: lib, dummy: dummy}, err
}

// dummyKey makes the COSE form of a P-256 key whose private half is forgotten at once.
func dummyKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	point, err := key.PublicKey.Bytes() // 4 | x 32 | y 32
	if err != nil {
		return nil, err
	}
	cose := append([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, point[1:33]...)
	return append(append(cose, 0x22, 0x58, 32), point[33:]...), nil
}

// algorithms are those taken, the best first.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// CreationOptions prefers passkeys that are found without a name and ask their owner for a PIN or a finger. It insists on them
// for one that is to be the only way in; as a second factor others are good too.
func (a *Adapter) CreationOptions(challenge string, owner identity.PasskeyOwner, have []identity.Passkey, alone bool) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil {
		return nil, fmt.Errorf("read the challenge: %w", err)
	}
	resident := protocol.ResidentKeyRequirementPreferred
	if alone {
		resident = protocol.ResidentKeyRequirementRequired
	}
	creation, _, err := a.lib.BeginRegistration(person{id: owner.Handle, name: owner.Name},
		webauthn.WithCredentialParameters(algorithms),
		webauthn.WithExclusions(descriptors(have)),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: resident, RequireResidentKey: &alone, UserVerification: verification(alone),
		}),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge = raw
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("begin a registration: %w", err)
	}
	return json.Marshal(creation.Response)
}

// RequestOptions asks for one of allow, or for any.
func (a *Adapter) RequestOptions(challenge string, allow []identity.Passkey, verify bool) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil {
		return nil, fmt.Errorf("read the challenge: %w", err)
	}
	assertion, _, err := a.lib.BeginDiscoverableLogin(webauthn.WithChallenge(raw), webauthn.WithUserVerification(verification(verify)),
		webauthn.WithAllowedCredentials(descriptors(allow)))
	if err != nil {
		return nil, fmt.Errorf("begin a login: %w", err)
	}
	return json.Marshal(assertion.Response)
}

func verification(required bool) protocol.UserVerificationRequirement {
	if required {
		return protocol.VerificationRequired
	}
	return protocol.VerificationPreferred
}

func descriptors(passkeys []identity.Passkey) []protocol.CredentialDescriptor {
	out := make([]protocol.CredentialDescriptor, len(passkeys))
	for i, p := range passkeys {
		out[i] = protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: p.CredentialID}
		for _, t := range p.Transports {
			out[i].Transport = append(out[i].Transport, protocol.AuthenticatorTransport(t))
		}
	}
	return out
}

// refuse keeps the cause for logs and tells nobody.
func refuse(err error) error {
	return fault.Wrap(fault.InvalidCredentials, "the passkey was not accepted", err)
}
