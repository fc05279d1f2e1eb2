package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// A challenge token is `crf_`: id 16 | secret 32. It says that a password was right, and is worth nothing without a code.
const (
	challengePrefix = "crf_"
	challengeBody   = 16 + secretBytes

	challengeLife         = 5 * time.Minute
	maxChallengeAttempts  = 5
	maxChallengesOfPerson = 20
)

var errChallenge = fault.New(fault.InvalidCredentials, "this sign-in has expired or has been used up; start again")

// PendingLogin is what a right password brings to somebody who has a second factor.
type PendingLogin struct {
	Token     secret.String
	Factors   []string // kinds of what will do: totp, recovery_code
	ExpiresIn time.Duration
}

// FactorInput is the second half of a login.
type FactorInput struct {
	Challenge secret.String
	Code      secret.String // of a factor, or a recovery code
	Client    Client
}

// challenge keeps the half of a login that the password has paid for.
func (s *Service) challenge(ctx context.Context, tx Tx, u User, client Client) (*PendingLogin, error) {
	c := Challenge{
		ID: s.opts.NewID(), UserID: u.ID, Proved: sha256.Sum256([]byte(u.PasswordHash)), DeviceName: client.DeviceName,
		CreatedAt: tx.Now(), ExpiresAt: tx.Now().Add(challengeLife),
	}
	live := newSecret()
	c.Hash = hashSecret(live)
	id, ok := parseID(c.ID)
	if !ok {
		return nil, errBadID
	}
	token, err := sealCredential(s.opts.MAC, challengePrefix, append(id[:], live[:]...))
	if err != nil {
		return nil, err
	}
	if err := tx.InsertChallenge(ctx, c, maxChallengesOfPerson); err != nil {
		return nil, fmt.Errorf("insert challenge: %w", err)
	}
	p := &PendingLogin{Token: token, Factors: []string{"totp"}, ExpiresIn: challengeLife}
	left, err := tx.CountRecoveryCodes(ctx, u.ID)
	if left > 0 {
		p.Factors = append(p.Factors, "recovery_code")
	}
	return p, err
}

// LoginFactor finishes a login with a code. Faults: InvalidCredentials for a wrong code and for a challenge that is
// over; RateLimited when too many codes were wrong; AccountDeactivated; Conflict as Login. A forged token costs no look
// at the store.
func (s *Service) LoginFactor(ctx context.Context, in FactorInput) (Entry, error) {
	e, err := s.loginFactor(ctx, in)
	s.observeLogin(e, err)
	return e, err
}

func (s *Service) loginFactor(ctx context.Context, in FactorInput) (Entry, error) {
	body, ok := openCredential(s.opts.MAC, challengePrefix, challengeBody, in.Challenge.Reveal())
	if !ok {
		return Entry{}, errChallenge
	}
	id, hash := formatID([16]byte(body[:16])), hashSecret([secretBytes]byte(body[16:]))
	in.Client = in.Client.cleaned()
	var e entering
	var refusal error // committed: the failure counts
	err := s.change(ctx, func(tx Tx) (err error) {
		e, refusal = entering{}, nil
		c, err := tx.TryChallenge(ctx, id, maxChallengeAttempts)
		if errors.Is(err, fault.Of(fault.NotFound)) {
			refusal = errChallenge
			return nil
		}
		if err != nil {
			return err
		}
		u, err := challenged(ctx, tx, c, hash)
		if err != nil {
			return err
		}
		right, locked, err := s.takeCode(ctx, tx, u.ID, countLogin, in.Code)
		switch {
		case err != nil:
			return err
		case locked > 0:
			refusal = tooManyGuesses(locked)
			return nil
		case !right:
			refusal = errCode
			return logAct(ctx, tx, userTarget(u.ID), act{
				name: "session.factor_failed", target: userTarget(u.ID), subject: u.ID, client: in.Client,
			})
		}
		if err := tx.DeleteChallenge(ctx, c.ID); err != nil {
			return err
		}
		in.Client.DeviceName = c.DeviceName
		e, err = s.admitted(ctx, tx, u, in.Client, ProofFactor)
		return err
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return Entry{}, err
	}
	s.post.wake()
	return s.entered(e)
}

// challenged is whose challenge it is, while what the password has proved still holds.
func challenged(ctx context.Context, tx Tx, c Challenge, hash [32]byte) (User, error) {
	if !sameHash(c.Hash, hash) || !tx.Now().Before(c.ExpiresAt) {
		return User{}, errChallenge
	}
	u, err := tx.User(ctx, c.UserID)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)):
		return User{}, errChallenge
	case err != nil:
		return User{}, err
	case !sameHash(c.Proved, sha256.Sum256([]byte(u.PasswordHash))):
		return User{}, errChallenge
	case u.Status != Active:
		return User{}, errDeactivated
	}
	return u, nil
}
