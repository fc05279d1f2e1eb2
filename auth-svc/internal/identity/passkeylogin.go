package identity

import (
	"context"
	"errors"
	"fmt"

	"cloakroom.dev/libs/fault"
)

// A passkey that has seen its owner, by a PIN or a finger, is two factors in one, so it opens a session by itself: nobody
// types who they are, and no other factor is asked for.

// PasskeyInput is a login by a passkey alone.
type PasskeyInput struct {
	Answer []byte // JSON
	Client Client
}

// AskPasskeyLogin is what to ask any passkey for this site for, as JSON. It asks the store for nothing.
func (s *Service) AskPasskeyLogin(ctx context.Context) (options []byte, err error) {
	if s.opts.WebAuthn == nil {
		return nil, errNoPasskeys
	}
	err = s.store.View(ctx, func(tx Tx) error { // for its clock
		options, err = s.askPasskey(tx, newPasskeyAsk(passkeyLogin), nil, true)
		return err
	})
	return options, err
}

// LoginPasskey opens a session. Faults: InvalidCredentials for every refusal alike; AccountDeactivated only to who has
// the passkey; Conflict at the session cap when the policy refuses there.
func (s *Service) LoginPasskey(ctx context.Context, in PasskeyInput) (Entry, error) {
	e, err := s.loginPasskey(ctx, in)
	s.observeLogin(e, err)
	if s.opts.WebAuthn != nil {
		s.observePasskey(err)
	}
	return e, err
}

func (s *Service) loginPasskey(ctx context.Context, in PasskeyInput) (Entry, error) {
	in.Client = in.Client.cleaned()
	shown, err := s.lookAtPasskey(ctx, newPasskeyAsk(passkeyLogin), true, in.Answer)
	if err != nil {
		return Entry{}, err
	}
	var e entering
	var refusal error // committed: it is told to the owner
	err = s.change(ctx, func(tx Tx) (err error) {
		e, refusal = entering{}, nil
		u, err := tx.User(ctx, shown.factor.UserID)
		if errors.Is(err, fault.Of(fault.NotFound)) {
			return errPasskey
		}
		if err != nil {
			return err
		}
		if refusal, err = s.takePasskey(ctx, tx, u, shown, in.Client); err != nil || refusal != nil {
			return err
		}
		if u.Status != Active {
			return errDeactivated
		}
		e, err = s.admitted(ctx, tx, u, in.Client, ProofFactor)
		return err
	})
	s.post.wake()
	switch {
	case err != nil:
		return Entry{}, fmt.Errorf("open session: %w", err)
	case refusal != nil:
		return Entry{}, refusal
	}
	return s.entered(e)
}
