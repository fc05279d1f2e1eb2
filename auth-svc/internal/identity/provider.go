package identity

import (
	"context"
	"time"
)

// Provider is somewhere else where people can prove who they are, as the operator has configured it.
type Provider struct {
	Name        string // a word, in paths
	DisplayName string
	Issuer      string
	ReturnURLs  []string // where people may be sent back to, exactly
	SignUp      bool     // whoever comes for the first time becomes a person here
	LinkByEmail bool     // whoever comes for the first time is taken for the person with the same address, verified on both sides
}

// Question is what a provider is asked with, and what its answer is held against.
type Question struct {
	State    string
	Nonce    string
	Verifier string // of PKCE
}

// Answer is what a browser has brought back from a provider.
type Answer struct {
	Code   string
	Issuer string // who says to have answered (RFC 9207); empty when nobody did
}

// ProviderClaims is what a provider says about somebody, verified as far as the provider can be trusted at all.
type ProviderClaims struct {
	Subject       string
	Email         string // may be empty
	EmailVerified bool
	Name          string
}

// Providers asks identity providers.
type Providers interface {
	// List is all there are, in the order of the configuration. Issuers and names are each unique.
	List() []Provider
	// AuthorizationURL is where a browser goes to prove who sits there. It returns fault.Unavailable when the provider
	// can't be reached.
	AuthorizationURL(ctx context.Context, provider string, q Question) (string, error)
	// CheckIssuer says whether a browser's answer can be this provider's. It asks nobody. It returns
	// fault.InvalidCredentials when another one has answered, and when the provider always says who it is and did not.
	CheckIssuer(ctx context.Context, provider string, a Answer) error
	// Redeem turns the answer into claims. It returns fault.InvalidCredentials for a code that is not good and for a
	// token that is not by this provider, for us, and for this question; fault.Unavailable when the provider can't be
	// reached or talks nonsense.
	Redeem(ctx context.Context, provider string, a Answer, q Question) (ProviderClaims, error)
}

// ExternalIdentity says that somebody at a provider is a person here.
type ExternalIdentity struct {
	ID         string
	UserID     string
	Provider   string // its name when this was linked
	Issuer     string
	Subject    string // who the provider says it is: never given to anybody else there
	Email      string // the provider's word when it was last used, may be empty
	CreatedAt  time.Time
	LastUsedAt time.Time // zero for never
}

// ExternalIdentities keeps who people are elsewhere. Issuer and subject are unique together, and so are person and issuer.
type ExternalIdentities interface {
	// ExternalIdentity finds who somebody at a provider is here. It returns fault.NotFound.
	ExternalIdentity(ctx context.Context, issuer, subject string) (ExternalIdentity, error)
	// ExternalIdentitiesOf lists a person's, oldest first. For a writer it locks them until the end of the transaction.
	ExternalIdentitiesOf(ctx context.Context, userID string) ([]ExternalIdentity, error)
	// InsertExternalIdentity adds one. It returns fault.Duplicate when the subject is somebody already, or the person
	// has another subject there.
	InsertExternalIdentity(ctx context.Context, e ExternalIdentity) error
	// TouchExternalIdentity writes Email and LastUsedAt. It returns fault.NotFound.
	TouchExternalIdentity(ctx context.Context, e ExternalIdentity) error
	// DeleteExternalIdentity forgets one of that person. It returns fault.NotFound.
	DeleteExternalIdentity(ctx context.Context, userID, id string) error
}

// Handoff is a sign-in that is on its way through a browser. What it is about is sealed; whoever brings the secret whose
// hash it keeps may go on with it, once.
type Handoff struct {
	ID        string
	Kind      HandoffKind
	Hash      [32]byte
	Sealed    []byte
	CreatedAt time.Time
	ExpiresAt time.Time
}

// HandoffKind says how far a sign-in has come.
type HandoffKind string

// The kinds: on the way to a provider and back, and on the way to the client's own call.
const (
	HandoffState HandoffKind = "state"
	HandoffCode  HandoffKind = "code"
)

// Handoffs keeps sign-ins that are under way.
type Handoffs interface {
	// InsertHandoff adds one.
	InsertHandoff(ctx context.Context, h Handoff) error
	// TakeHandoff removes one and returns it, to one caller only. It returns fault.NotFound.
	TakeHandoff(ctx context.Context, kind HandoffKind, id string) (Handoff, error)
	// CountHandoffs is how many of a kind there are, expired ones too.
	CountHandoffs(ctx context.Context, kind HandoffKind) (int, error)
	// SweepHandoffs removes what is past its ExpiresAt, at most limit.
	SweepHandoffs(ctx context.Context, limit int) (int, error)
}
