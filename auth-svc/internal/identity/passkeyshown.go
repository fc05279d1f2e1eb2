package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"cloakroom.dev/libs/fault"
)

var (
	errPasskey     = fault.New(fault.InvalidCredentials, "the passkey was not accepted; start again")
	errNoPasskeys  = fault.New(fault.Forbidden, "passkeys are not set up on this server")
	errLastPasskey = fault.New(fault.Conflict, "this is the last way to sign in to this account; set a password or make another passkey first")
	errNotPasskey  = fault.New(fault.Conflict, "this passkey is registered already")
)

// shownPasskey is an answer whose signature holds. It is worth something once takePasskey has spent it.
type shownPasskey struct {
	challenge passkeyChallenge
	factor    Factor
	count     uint32
}

// lookAtPasskey judges an answer without writing. Whatever is wrong with it is errPasskey, and from the challenge on it
// costs one signature, whether the passkey is known or not: an answer tells nothing about who has which.
func (s *Service) lookAtPasskey(ctx context.Context, ask passkeyAsk, verify bool, answer []byte) (p shownPasskey, err error) {
	if s.opts.WebAuthn == nil {
		return p, errNoPasskeys
	}
	if len(answer) > maxPasskeyBytes {
		return p, errPasskey
	}
	claim, err := s.opts.WebAuthn.ReadAnswer(answer)
	if err != nil {
		return p, refusePasskey(err)
	}
	known := true
	err = s.store.View(ctx, func(tx Tx) (err error) {
		var ok bool
		if p.challenge, ok = ask.open(s.opts.MAC, claim.Challenge, tx.Now()); !ok {
			return errPasskey
		}
		p.factor, err = tx.FactorByCredential(ctx, claim.CredentialID)
		if errors.Is(err, fault.Of(fault.NotFound)) {
			known, p.factor, err = false, Factor{}, nil
		}
		return err
	})
	if err != nil {
		return p, err
	}
	if p.count, err = s.opts.WebAuthn.Answered(claim.Challenge, p.factor.Passkey, verify, answer); err != nil {
		return p, refusePasskey(err)
	}
	named := len(claim.Handle) == 0 && ask.purpose != passkeyLogin || bytes.Equal(claim.Handle, passkeyHandle(p.factor.UserID))
	if !known || !named {
		return p, errPasskey
	}
	return p, nil
}

// refusePasskey makes every fault of an answer the same.
func refusePasskey(err error) error {
	if errors.Is(err, fault.Of(fault.InvalidCredentials)) {
		return errPasskey
	}
	return fmt.Errorf("judge a passkey: %w", err)
}

// takePasskey spends a shown passkey of u. wrong is a refusal that must be committed: a counter that went back is told to
// the owner.
func (s *Service) takePasskey(ctx context.Context, tx Tx, u User, p shownPasskey, client Client) (wrong, err error) {
	f, err := tx.FactorByCredential(ctx, p.factor.Passkey.CredentialID)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)): // removed meanwhile
		return errPasskey, nil
	case err != nil:
		return nil, err
	case f.UserID != u.ID || f.ID != p.factor.ID || !bytes.Equal(f.Passkey.PublicKey, p.factor.Passkey.PublicKey):
		return errPasskey, nil
	case !tx.Now().Before(p.challenge.expires):
		return errPasskey, nil
	}
	fresh, err := tx.SpendPasskeyChallenge(ctx, p.challenge.nonce, p.challenge.expires)
	if err != nil {
		return nil, err
	}
	if !fresh {
		return errPasskey, nil
	}
	counted, err := tx.CountPasskey(ctx, f.ID, p.count, tx.Now())
	if err != nil || counted {
		return nil, err
	}
	if err := s.passkeyCopied(ctx, tx, u, f, p.count, client); err != nil {
		return nil, err
	}
	return errPasskeyCopied, nil
}

// errPasskeyCopied reads as errPasskey; inside it tells what to count.
var errPasskeyCopied = fault.Wrap(fault.InvalidCredentials, errPasskey.Detail, errors.New("the passkey's counter went back"))

func (s *Service) passkeyCopied(ctx context.Context, tx Tx, u User, f Factor, count uint32, client Client) error {
	err := logAct(ctx, tx, actorSystem, act{
		name: "factor.counter_regressed", target: userTarget(u.ID), subject: u.ID, client: client,
		detail: map[string]any{"factor_id": f.ID, "had": f.Passkey.SignCount, "got": count},
	})
	if err != nil {
		return err
	}
	return s.notify(ctx, tx, u, MailPasskeyCopied, client)
}

// askPasskey makes the options of a question, as JSON.
func (s *Service) askPasskey(tx Tx, ask passkeyAsk, allow []Factor, verify bool) ([]byte, error) {
	challenge, err := ask.seal(s.opts.MAC, tx.Now())
	if err != nil {
		return nil, err
	}
	s.opts.Observer.Passkey("challenged")
	return s.opts.WebAuthn.RequestOptions(challenge, passkeysOf(allow), verify)
}

// passkeysOf picks the confirmed passkeys.
func passkeysOf(factors []Factor) (out []Passkey) {
	for _, f := range factors {
		if f.Kind == FactorPasskey && f.Confirmed() {
			out = append(out, f.Passkey)
		}
	}
	return out
}

// passkeyHandle is how authenticators know a person: the id, which says nothing else.
func passkeyHandle(userID string) []byte {
	id, _ := parseID(userID)
	return id[:]
}

// observePasskey counts what came of an answer.
func (s *Service) observePasskey(err error) {
	switch {
	case err == nil:
		s.opts.Observer.Passkey("accepted")
	case errors.Is(err, errPasskeyCopied):
		s.opts.Observer.Passkey("regressed")
	default:
		s.opts.Observer.Passkey("refused")
	}
}
