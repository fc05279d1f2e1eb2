package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

var (
	errAddressTaken = fault.New(fault.UserExists, "an account with this address exists already; sign in to it and link the provider there")
	errNoNewcomers  = fault.New(fault.Forbidden, "nobody here is linked to this sign-in, and this provider does not make new accounts")
)

// ExchangeInput is a client's one-time code, and what only the client that began has.
type ExchangeInput struct {
	Code     secret.String
	Verifier secret.String
	Client   Client
}

// ExchangeSignIn opens a session for whom the provider has named, or for somebody with a second factor a challenge, as Login
// does. Whoever comes for the first time is linked to the person with the same address, if both sides have verified it, or
// becomes a new person, as the provider's configuration says. Faults: InvalidCredentials for a code that is not good;
// AccountDeactivated; UserExists when the address is somebody's and can't be taken for theirs; Forbidden when this provider
// makes no accounts; Conflict at the session cap.
func (s *Service) ExchangeSignIn(ctx context.Context, in ExchangeInput) (Entry, error) {
	e, err := s.exchangeSignIn(ctx, in)
	s.observeLogin(e, err)
	return e, err
}

func (s *Service) exchangeSignIn(ctx context.Context, in ExchangeInput) (Entry, error) {
	key, err := s.openHandoff(HandoffCode, in.Code)
	if err != nil {
		return Entry{}, err
	}
	client := in.Client.cleaned()
	var e entering
	var pending *PendingLogin
	err = s.change(ctx, func(tx Tx) error {
		a, p, err := s.takeAssertion(ctx, tx, key, in.Verifier)
		if err != nil {
			return err
		}
		u, err := s.whoIs(ctx, tx, p, a.Claims, client)
		if err != nil {
			return err
		}
		if u.Status != Active {
			return errDeactivated
		}
		e, pending, err = s.letIn(ctx, tx, u, client, ProofProvider)
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("sign in with a provider: %w", err)
	}
	s.post.wake()
	if pending != nil {
		return Entry{Pending: pending}, nil
	}
	return s.entered(e)
}

// whoIs finds the person a provider speaks of. Only issuer and subject say who somebody is; an address is asked once, at the
// first sign-in.
func (s *Service) whoIs(ctx context.Context, tx Tx, p Provider, c ProviderClaims, client Client) (User, error) {
	known, err := tx.ExternalIdentity(ctx, p.Issuer, c.Subject)
	if err == nil {
		known.Email, known.LastUsedAt = c.Email, tx.Now()
		if err := tx.TouchExternalIdentity(ctx, known); err != nil {
			return User{}, err
		}
		return tx.User(ctx, known.UserID)
	}
	if !errors.Is(err, fault.Of(fault.NotFound)) {
		return User{}, fmt.Errorf("find the identity: %w", err)
	}
	u, err := owner(ctx, tx, p, c)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)):
		return s.newcomer(ctx, tx, p, c, client)
	case err != nil:
		return User{}, err
	}
	if _, err := s.link(ctx, tx, p, c, u.ID); err != nil {
		return User{}, err
	}
	err = logAct(ctx, tx, userTarget(u.ID), act{
		name: "identity.link", target: userTarget(u.ID), subject: u.ID, client: client,
		detail: map[string]any{"provider": p.Name, "by": "verified_email"},
	})
	if err != nil {
		return User{}, err
	}
	return u, s.notify(ctx, tx, u, MailIdentityLinked, client)
}

// owner finds the person that somebody new at a provider may be taken for. It returns fault.NotFound when there is nobody with
// that address, and fault.UserExists when there is and it proves nothing:
//   - we have not verified it: whoever made that account need not own it, and would keep a way in;
//   - it is spelled otherwise and only our canonical form is the same: those may be two mailboxes;
//   - the person is somebody else at that provider already: addresses are given away there, subjects are not.
func owner(ctx context.Context, tx Tx, p Provider, c ProviderClaims) (User, error) {
	key, ok := canonicalEmail(c.Email)
	if !ok || !c.EmailVerified {
		return User{}, fault.New(fault.NotFound, "no verified address")
	}
	u, err := tx.UserByIdentifier(ctx, Identifier{Kind: Email, Key: key})
	if err != nil {
		return User{}, err
	}
	if u, err = tx.User(ctx, u.ID); err != nil {
		return User{}, err
	}
	if !p.LinkByEmail || u.EmailKey != key || u.EmailVerifiedAt.IsZero() || !sameMailbox(u.Email, c.Email) {
		return User{}, errAddressTaken
	}
	has, err := tx.ExternalIdentitiesOf(ctx, u.ID)
	if err != nil {
		return User{}, err
	}
	for _, e := range has {
		if e.Issuer == p.Issuer {
			return User{}, errAddressTaken
		}
	}
	if u.Status != Active {
		return User{}, errDeactivated
	}
	return u, nil
}

// sameMailbox compares addresses as a mail server may: only the case of ASCII letters is nothing, and the domain is what DNS
// makes of it.
func sameMailbox(a, b string) bool {
	localA, domainA, okA := splitAddress(a)
	localB, domainB, okB := splitAddress(b)
	return okA && okB && localA == localB && domainA == domainB
}

func splitAddress(address string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return "", "", false
	}
	local = strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, address[:at])
	domain, ok = canonicalDomain(address[at+1:])
	return local, domain, ok
}

// newcomer makes a person of somebody at a provider. An address that the provider has not verified is not taken over: it would
// stand in the way of whoever owns it.
func (s *Service) newcomer(ctx context.Context, tx Tx, p Provider, c ProviderClaims, client Client) (User, error) {
	if !p.SignUp {
		return User{}, errNoNewcomers
	}
	u := User{ID: s.opts.NewID(), Status: Active, Roles: []string{RoleGuest}}.born(tx.Now())
	_ = u.setName(c.Name) // a name we can't show is no reason to refuse somebody
	if c.EmailVerified && len(u.setEmail(c.Email)) == 0 && u.Email != "" {
		u.EmailVerifiedAt = tx.Now()
	}
	if err := tx.InsertUser(ctx, u); err != nil {
		return User{}, err
	}
	if _, err := s.link(ctx, tx, p, c, u.ID); err != nil {
		return User{}, err
	}
	if err := tx.PutDevice(ctx, u.ID, s.deviceKey(u.ID, client), maxDevices); err != nil {
		return User{}, err
	}
	return u, logAct(ctx, tx, userTarget(u.ID), act{
		name: "user.signup", target: userTarget(u.ID), subject: u.ID, client: client,
		detail: map[string]any{"provider": p.Name, "roles": u.Roles},
	})
}

// link makes somebody at a provider a person here.
func (s *Service) link(ctx context.Context, tx Tx, p Provider, c ProviderClaims, userID string) (ExternalIdentity, error) {
	e := ExternalIdentity{
		ID: s.opts.NewID(), UserID: userID, Provider: p.Name, Issuer: p.Issuer, Subject: c.Subject, Email: c.Email,
		CreatedAt: tx.Now(), LastUsedAt: tx.Now(),
	}
	return e, tx.InsertExternalIdentity(ctx, e)
}
