package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
)

// EnrolledPasskey is a new factor, with what a browser needs to make its passkey.
type EnrolledPasskey struct {
	Factor  Factor
	Options []byte // JSON
}

// EnrolPasskey begins a passkey of the caller; it guards nothing until ConfirmPasskey. Rules and faults: as EnrolFactor.
func (s *Service) EnrolPasskey(ctx context.Context, caller principal.Principal, name string) (EnrolledPasskey, error) {
	if s.opts.WebAuthn == nil {
		return EnrolledPasskey{}, errNoPasskeys
	}
	name, err := factorName(name)
	if err != nil {
		return EnrolledPasskey{}, err
	}
	e := EnrolledPasskey{Factor: Factor{ID: s.opts.NewID(), UserID: caller.UserID, Kind: FactorPasskey, Name: name}}
	err = s.store.InTx(ctx, func(tx Tx) error {
		u, have, err := s.beginFactor(ctx, tx, caller, &e.Factor)
		if err != nil {
			return err
		}
		challenge, err := registerAsk(caller, e.Factor.ID).seal(s.opts.MAC, tx.Now())
		if err != nil {
			return err
		}
		alone, err := standsAlone(ctx, tx, u)
		if err != nil {
			return err
		}
		if e.Options, err = s.opts.WebAuthn.CreationOptions(challenge, passkeyOwner(u), passkeysOf(have), alone); err != nil {
			return fmt.Errorf("ask for a passkey: %w", err)
		}
		return tx.InsertFactor(ctx, e.Factor)
	})
	if err == nil {
		s.opts.Observer.Passkey("challenged")
	}
	return e, err
}

// standsAlone reports whether a passkey of this person must be good for signing in by itself, since they have nothing else to
// sign in with: or it could become the last one, and nobody would get in by it.
func standsAlone(ctx context.Context, tx Tx, u User) (bool, error) {
	if u.hasPasswordLogin() {
		return false, nil
	}
	elsewhere, err := tx.ExternalIdentitiesOf(ctx, u.ID)
	return len(elsewhere) == 0, err
}

func registerAsk(caller principal.Principal, factorID string) passkeyAsk {
	return newPasskeyAsk(passkeyRegister, caller.UserID, caller.SessionID, factorID)
}

func passkeyOwner(u User) PasskeyOwner {
	return PasskeyOwner{Handle: passkeyHandle(u.ID), Name: u.shownAs()}
}

// ConfirmPasskey lets a new passkey guard its owner from now on. With the first factor come recovery codes, told this
// once. Faults: NotFound, InvalidCredentials for an answer that does not hold, Conflict for a passkey that is registered.
func (s *Service) ConfirmPasskey(ctx context.Context, caller principal.Principal, client Client, id string, answer []byte) (codes []secret.String, err error) {
	if s.opts.WebAuthn == nil {
		return nil, errNoPasskeys
	}
	made, hashes := newRecoveryCodes(caller.UserID)
	p, challenge, err := s.judgeCreated(ctx, caller, id, answer)
	if err != nil {
		s.opts.Observer.Passkey("refused")
		return nil, err
	}
	err = s.store.InTx(ctx, func(tx Tx) error {
		codes = nil
		u, factors, err := enrolling(ctx, tx, caller, id, FactorPasskey)
		if err != nil {
			return err
		}
		fresh, err := tx.SpendPasskeyChallenge(ctx, challenge.nonce, challenge.expires)
		if err != nil {
			return err
		}
		if !fresh {
			return errPasskey
		}
		err = tx.ConfirmPasskey(ctx, id, tx.Now(), p)
		if errors.Is(err, fault.Of(fault.Conflict)) {
			return errNotPasskey
		}
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(factors, Factor.Confirmed) {
			codes = made
			if err := tx.PutRecoveryCodes(ctx, caller.UserID, hashes); err != nil {
				return err
			}
		}
		return s.guardedFromNow(ctx, tx, caller, u, client)
	})
	if err == nil {
		s.opts.Observer.Passkey("registered")
		s.post.wake()
	}
	return codes, err
}

// judgeCreated judges the answer before the transaction that takes it: a signature must not keep the writer waiting.
func (s *Service) judgeCreated(ctx context.Context, caller principal.Principal, id string, answer []byte) (p Passkey, c passkeyChallenge, err error) {
	if len(answer) > maxPasskeyBytes {
		return p, c, errPasskey
	}
	claim, err := s.opts.WebAuthn.ReadCreated(answer)
	if err != nil {
		return p, c, refusePasskey(err)
	}
	var u User
	var alone bool
	err = s.store.View(ctx, func(tx Tx) (err error) {
		a := act{resource: resUsers, verb: actUpdate, owner: caller.UserID}
		if err := check(ctx, tx, caller, a); err != nil {
			return err
		}
		if u, _, err = waiting(ctx, tx, caller, id, FactorPasskey); err != nil {
			return err
		}
		var ok bool
		if c, ok = registerAsk(caller, id).open(s.opts.MAC, claim.Challenge, tx.Now()); !ok {
			return errPasskey
		}
		alone, err = standsAlone(ctx, tx, u)
		return err
	})
	if err != nil {
		return p, c, err
	}
	if p, err = s.opts.WebAuthn.Created(claim.Challenge, passkeyOwner(u), alone, answer); err != nil {
		return p, c, refusePasskey(err)
	}
	return p, c, nil
}
