package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
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
	Factors   []string // kinds of what will do: totp, passkey, recovery_code
	Passkey   []byte   // what to ask a passkey for, as JSON; nil for who has none
	ExpiresIn time.Duration
}

// FactorInput is the second half of a login.
type FactorInput struct {
	Challenge secret.String
	Code      secret.String // of a factor, or a recovery code
	Passkey   []byte        // in place of a code: what a passkey has answered to PendingLogin.Passkey
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
	return s.pending(ctx, tx, c, token)
}

// pending says what will finish a login.
func (s *Service) pending(ctx context.Context, tx Tx, c Challenge, token secret.String) (*PendingLogin, error) {
	p := &PendingLogin{Token: token, ExpiresIn: challengeLife}
	factors, err := tx.Factors(ctx, c.UserID)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(factors, func(f Factor) bool { return f.Kind == FactorTOTP && f.Confirmed() }) {
		p.Factors = append(p.Factors, string(FactorTOTP))
	}
	if len(passkeysOf(factors)) > 0 && s.opts.WebAuthn != nil {
		p.Factors = append(p.Factors, string(FactorPasskey))
		if p.Passkey, err = s.askPasskey(tx, newPasskeyAsk(passkeySecond, c.ID), factors, false); err != nil {
			return nil, err
		}
	}
	left, err := tx.CountRecoveryCodes(ctx, c.UserID)
	if left > 0 {
		p.Factors = append(p.Factors, "recovery_code")
	}
	return p, err
}

// LoginFactor finishes a login with a code or a passkey. Faults: InvalidCredentials for a wrong one and for a challenge that is
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
	shown, err := s.lookSecond(ctx, id, in.Passkey)
	if err != nil {
		return Entry{}, err
	}
	var e entering
	var refusal error // committed: the failure counts
	err = s.change(ctx, func(tx Tx) (err error) {
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
		if refusal, err = s.takeFactor(ctx, tx, u, countLogin, in.Code, shown, in.Client); err != nil {
			return err
		}
		if refusal != nil {
			return logFailedFactor(ctx, tx, u, refusal, in.Client)
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

// lookSecond judges what a passkey has answered to a half-done login. nil is for none; an answer that does not hold is
// not nil, and is refused where attempts are counted.
func (s *Service) lookSecond(ctx context.Context, challengeID string, answer []byte) (*shownPasskey, error) {
	if answer == nil {
		return nil, nil
	}
	return s.lookAs(ctx, newPasskeyAsk(passkeySecond, challengeID), answer)
}

func (s *Service) lookAs(ctx context.Context, ask passkeyAsk, answer []byte) (*shownPasskey, error) {
	shown, err := s.lookAtPasskey(ctx, ask, false, answer)
	if errors.Is(err, errPasskey) {
		return &shownPasskey{}, nil
	}
	return &shown, err
}

// takeFactor spends what was shown: a passkey, or else a code. wrong is a refusal that must be committed.
func (s *Service) takeFactor(ctx context.Context, tx Tx, u User, count codeCount, code secret.String, shown *shownPasskey, client Client) (wrong, err error) {
	if shown != nil {
		wrong = errPasskey
		if shown.factor.ID != "" {
			wrong, err = s.takePasskey(ctx, tx, u, *shown, client)
		}
		if err == nil {
			s.observePasskey(wrong)
		}
		return wrong, err
	}
	right, locked, err := s.takeCode(ctx, tx, u, count, code, client)
	switch {
	case err != nil:
		return nil, err
	case locked > 0:
		return tooManyGuesses(locked), nil
	case !right:
		return errCode, nil
	}
	return nil, nil
}

// logFailedFactor notes a factor that was looked at and wrong.
func logFailedFactor(ctx context.Context, tx Tx, u User, refusal error, client Client) error {
	if fault.KindOf(refusal) == fault.RateLimited {
		return nil
	}
	return logAct(ctx, tx, userTarget(u.ID), act{
		name: "session.factor_failed", target: userTarget(u.ID), subject: u.ID, client: client,
	})
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
