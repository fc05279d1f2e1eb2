package identity

import (
	"context"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
)

// Purpose says what a link in a mail is for.
type Purpose string

// The purposes.
const (
	PurposeVerify Purpose = "verify_email"
	PurposeReset  Purpose = "reset_password"
)

// MailToken is the row behind a link in a mail. Used, replaced and outdated ones have none.
type MailToken struct {
	ID        string
	UserID    string
	Purpose   Purpose
	EmailKey  string   // where it was sent: it proves nothing about another address
	Hash      [32]byte // of the secret in the link
	CreatedAt time.Time
	ExpiresAt time.Time
}

// MailTokens keeps at most one token for each person and purpose.
type MailTokens interface {
	// MailToken finds a token and locks it until the end of the transaction. It returns fault.NotFound.
	MailToken(ctx context.Context, id string) (MailToken, error)
	// PutMailToken adds a token in the place of the one before.
	PutMailToken(ctx context.Context, t MailToken) error
	// DeleteMailTokens ends a person's tokens, of one purpose or, with none given, of all.
	DeleteMailTokens(ctx context.Context, userID string, purposes ...Purpose) error
	// SweepMailTokens removes tokens that have expired, at most limit.
	SweepMailTokens(ctx context.Context, limit int) (int, error)
}

// VerifyEmail takes a link's word that its bearer reads the mail. Faults: Invalid for no link of ours, Gone.
func (s *Service) VerifyEmail(ctx context.Context, token secret.String) error {
	t, err := openMailToken(s.opts.MAC, PurposeVerify, token.Reveal())
	if err != nil {
		return err
	}
	return s.store.InTx(ctx, func(tx Tx) error {
		u, err := spendLink(ctx, tx, t)
		if err != nil {
			return err
		}
		if err := tx.DeleteMailTokens(ctx, u.ID, PurposeVerify); err != nil {
			return err
		}
		u.EmailVerifiedAt, u.UpdatedAt = tx.Now(), tx.Now()
		if err := tx.UpdateUser(ctx, u); err != nil {
			return err
		}
		return logAct(ctx, tx, userTarget(u.ID), act{name: "user.email_verify", target: userTarget(u.ID)})
	})
}

// ResendVerification sends the caller another link, which ends the one before. It says nothing of whether it did: an
// address may be verified already, or have got enough mail for now.
func (s *Service) ResendVerification(ctx context.Context, caller principal.Principal, client Client) error {
	err := s.store.InTx(ctx, func(tx Tx) error {
		u, err := own(ctx, tx, caller, act{
			resource: resUsers, verb: actUpdate, owner: caller.UserID, name: "user.email_verify_resend", target: userTarget(caller.UserID),
		})
		if err != nil {
			return err
		}
		return s.askToVerify(ctx, tx, u, client.cleaned())
	})
	s.post.wake()
	return err
}

// ForgotPassword asks for a link to a new password. Whoever is named is looked up later, by whoever sends: the answer,
// and the time it takes, are the same for everybody and nobody.
func (s *Service) ForgotPassword(ctx context.Context, identifier string, client Client) error {
	if s.opts.Mailer == nil {
		return nil
	}
	client = client.cleaned()
	id, readable := ParseIdentifier(identifier)
	err := s.store.InTx(ctx, func(tx Tx) error {
		ok, err := s.spend(ctx, tx, s.addressKey("links from", client), linksPerAddress)
		if err != nil || !ok || !readable {
			return err
		}
		return s.enqueue(ctx, tx, OutMail{Kind: MailReset, Identifier: id, UserAgent: client.UserAgent, Address: client.Address})
	})
	s.post.wake()
	return err
}

// ResetPassword sets a new password for whoever a link was sent to, and ends all their sessions. A refused password
// spends nothing. Faults: Invalid, Gone, Overloaded.
func (s *Service) ResetPassword(ctx context.Context, token, next secret.String, client Client) error {
	t, err := openMailToken(s.opts.MAC, PurposeReset, token.Reveal())
	if err != nil {
		return err
	}
	var u User
	err = s.store.View(ctx, func(tx Tx) (err error) {
		u, err = spendLink(ctx, tx, t)
		return err
	})
	if err != nil {
		return err
	}
	if bad := s.checkPassword(s.policyNamed(client.Policy), "new_password", next, u); len(bad) > 0 {
		return fault.Validation(bad...)
	}
	fresh, err := s.hash(ctx, next)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	err = s.change(ctx, func(tx Tx) error { return s.reset(ctx, tx, t, fresh, client.cleaned()) })
	s.post.wake()
	return err
}

func (s *Service) reset(ctx context.Context, tx Tx, t mailToken, hash string, client Client) error {
	u, err := spendLink(ctx, tx, t)
	if err != nil {
		return err
	}
	u.PasswordHash, u.UpdatedAt = hash, tx.Now()
	if u.EmailVerifiedAt.IsZero() {
		u.EmailVerifiedAt = tx.Now() // the link has come from there
		if err := forgetOtherWaysIn(ctx, tx, u.ID); err != nil {
			return err
		}
	}
	if err := tx.UpdateUser(ctx, u); err != nil {
		return err
	}
	ended, err := endSessions(ctx, tx, u.ID, "")
	if err != nil {
		return err
	}
	if err := s.forgive(ctx, tx, u); err != nil {
		return err
	}
	if err := s.passwordChanged(ctx, tx, u, client); err != nil {
		return err
	}
	return logAct(ctx, tx, userTarget(u.ID), act{
		name: "user.password_reset", target: userTarget(u.ID), detail: map[string]any{"sessions_ended": ended},
	})
}

// forgetOtherWaysIn leaves a person nothing but the password. Whoever made the account need not have owned the address that
// has just been shown to be somebody's: nothing they set up may outlive that, be it a linked sign-in, a passkey, which opens
// the account alone, an app whose codes would keep the owner out, or an API key.
func forgetOtherWaysIn(ctx context.Context, tx Tx, userID string) error {
	if err := forgetIdentities(ctx, tx, userID); err != nil {
		return err
	}
	if _, err := dropFactors(ctx, tx, userID, ""); err != nil {
		return err
	}
	keys, err := tx.APIKeysOf(ctx, userID, Cursor{}, maxAPIKeys)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := tx.DeleteAPIKey(ctx, k.ID); err != nil {
			return err
		}
		if _, err := revoke(ctx, tx, KindAPIKey, k.ID, k.AccessUntil); err != nil {
			return err
		}
	}
	return nil
}

// passwordChanged ends the links that were on their way, and tells the person.
func (s *Service) passwordChanged(ctx context.Context, tx Tx, u User, client Client) error {
	if err := tx.DeleteMailTokens(ctx, u.ID, PurposeReset); err != nil {
		return err
	}
	return s.notify(ctx, tx, u, MailPasswordChanged, client)
}

// emailChanged ends the links to the old address, tells it, and asks the new one.
func (s *Service) emailChanged(ctx context.Context, tx Tx, before, now User, client Client) error {
	if before.EmailKey == now.EmailKey {
		return nil
	}
	if err := tx.DeleteMailTokens(ctx, now.ID); err != nil {
		return err
	}
	if err := s.notify(ctx, tx, before, MailEmailChanged, client); err != nil {
		return err
	}
	return s.askToVerify(ctx, tx, now, client)
}

// maxDevices are remembered of each person.
const maxDevices = 50

// meetDevice remembers what a person came in from, and tells them when it is new.
func (s *Service) meetDevice(ctx context.Context, tx Tx, u User, client Client) error {
	device := s.deviceKey(u.ID, client)
	known, err := tx.KnownDevice(ctx, u.ID, device)
	if err != nil {
		return err
	}
	if !known {
		if err := s.notify(ctx, tx, u, MailNewDevice, client); err != nil {
			return err
		}
	}
	return tx.PutDevice(ctx, u.ID, device, maxDevices)
}
