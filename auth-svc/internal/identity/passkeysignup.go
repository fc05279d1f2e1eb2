package identity

import (
	"context"
	"errors"
	"fmt"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// A person can begin with a passkey and no password. The passkey is the only way in, so it must be one that is found without a
// name and has seen its owner. Nothing is kept, or looked up, between the question and the answer: the challenge carries the id
// of the person to be, and holds for the names it was asked with alone.

// signupPasskeyName is what such a passkey is called until its owner calls it something.
const signupPasskeyName = "passkey"

// NewPerson is somebody who has begun with a passkey.
type NewPerson struct {
	Entry
	RecoveryCodes []secret.String // told this once
}

// AskPasskeySignup is what to make the passkey of a new person from, as JSON. It says nothing of whether the names are free.
// The password and the bootstrap token have no part in it. Faults: Invalid.
func (s *Service) AskPasskeySignup(ctx context.Context, in SignupInput) (options []byte, err error) {
	u, err := s.beginPasskeySignup(in)
	if err != nil {
		return nil, err
	}
	u.ID = s.opts.NewID()
	nonce, ok := parseID(u.ID)
	if !ok {
		return nil, errBadID
	}
	err = s.store.View(ctx, func(tx Tx) error { // for its clock
		challenge, err := signupAsk(u).sealAs(nonce, s.opts.MAC, tx.Now())
		if err != nil {
			return err
		}
		if options, err = s.opts.WebAuthn.CreationOptions(challenge, passkeyOwner(u), nil, true); err != nil {
			return fmt.Errorf("ask for a passkey: %w", err)
		}
		return nil
	})
	if err == nil {
		s.opts.Observer.Passkey("challenged")
	}
	return options, err
}

func (s *Service) beginPasskeySignup(in SignupInput) (User, error) {
	u := User{Status: Active, Roles: []string{RoleGuest}}
	if s.opts.WebAuthn == nil {
		return u, errNoPasskeys
	}
	if bad := u.fill(in); len(bad) > 0 {
		return u, fault.Validation(bad...)
	}
	return u, nil
}

func signupAsk(u User) passkeyAsk {
	return newPasskeyAsk(passkeySignup, u.EmailKey, u.Phone, u.UsernameKey)
}

// SignupPasskey makes a person with role guest, whose only way in is the passkey that has answered, and a session. The input is
// that of AskPasskeySignup. Faults: Invalid, InvalidCredentials for every answer that does not hold, UserExists.
func (s *Service) SignupPasskey(ctx context.Context, in SignupInput, answer []byte) (NewPerson, error) {
	p, err := s.signupPasskey(ctx, in, answer)
	switch {
	case err == nil:
		s.opts.Observer.Passkey("registered")
		s.post.wake()
	case s.opts.WebAuthn != nil && fault.KindOf(err) == fault.InvalidCredentials:
		s.opts.Observer.Passkey("refused")
	}
	return p, err
}

func (s *Service) signupPasskey(ctx context.Context, in SignupInput, answer []byte) (NewPerson, error) {
	u, err := s.beginPasskeySignup(in)
	if err != nil {
		return NewPerson{}, err
	}
	passkey, challenge, err := s.judgeSignup(ctx, &u, answer)
	if err != nil {
		return NewPerson{}, err
	}
	codes, hashes := newRecoveryCodes(u.ID)
	f := Factor{ID: s.opts.NewID(), UserID: u.ID, Kind: FactorPasskey, Name: signupPasskeyName}
	var e entering
	err = s.change(ctx, func(tx Tx) (err error) {
		if err := spendSignup(ctx, tx, challenge); err != nil {
			return err
		}
		if e, err = s.signUp(ctx, tx, u, in, ProofFactor); err != nil {
			return err
		}
		f.CreatedAt = tx.Now()
		if err := tx.InsertFactor(ctx, f); err != nil {
			return err
		}
		err = tx.ConfirmPasskey(ctx, f.ID, tx.Now(), passkey)
		if errors.Is(err, fault.Of(fault.Conflict)) {
			return errPasskey // a stranger is not told which passkeys there are
		}
		if err != nil {
			return err
		}
		return tx.PutRecoveryCodes(ctx, u.ID, hashes)
	})
	if err != nil {
		return NewPerson{}, fmt.Errorf("sign up: %w", err)
	}
	entry, err := s.entered(e)
	return NewPerson{Entry: entry, RecoveryCodes: codes}, err
}

// judgeSignup judges the answer before the transaction that takes it, and gives the person the id the challenge was made with.
func (s *Service) judgeSignup(ctx context.Context, u *User, answer []byte) (p Passkey, c passkeyChallenge, err error) {
	if len(answer) > maxPasskeyBytes {
		return p, c, errPasskey
	}
	claim, err := s.opts.WebAuthn.ReadCreated(answer)
	if err != nil {
		return p, c, refusePasskey(err)
	}
	err = s.store.View(ctx, func(tx Tx) error { // for its clock
		var ok bool
		if c, ok = signupAsk(*u).open(s.opts.MAC, claim.Challenge, tx.Now()); !ok {
			return errPasskey
		}
		return nil
	})
	if err != nil {
		return p, c, err
	}
	u.ID = formatID(c.nonce)
	if p, err = s.opts.WebAuthn.Created(claim.Challenge, passkeyOwner(*u), true, answer); err != nil {
		return p, c, refusePasskey(err)
	}
	return p, c, nil
}

func spendSignup(ctx context.Context, tx Tx, c passkeyChallenge) error {
	if !tx.Now().Before(c.expires) {
		return errPasskey
	}
	fresh, err := tx.SpendPasskeyChallenge(ctx, c.nonce, c.expires)
	if err != nil {
		return err
	}
	if !fresh {
		return errPasskey
	}
	return nil
}
