package identity

import (
	"context"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
)

// Step-up: some calls ask that whoever makes them has shown, in this session and lately, that they are still the person.
//
// The session's row says what was shown and when. A step-up rotates the session: its answer carries the next tokens, and
// what was handed out before is worth less from then on. The refresh token of before counts as spent, with no window, so
// presenting it is theft; an access token of before still calls, but does not share in the step-up.

// stepUpLife is how long a proof opens dangerous calls.
const stepUpLife = 5 * time.Minute

var (
	errStepUp       = fault.New(fault.Forbidden, "confirm that it is you: call POST /v1/auth/step-up, then repeat this with the tokens it returns")
	errGive         = fault.Validation(fault.Field{Field: "code", Code: "REQUIRED", Detail: "this account has a second factor: give a code of it, or a passkey"})
	errHasNoPasskey = fault.New(fault.Conflict, "this account has no passkey")
	errNoCode       = fault.Validation(fault.Field{Field: "password", Code: "REQUIRED", Detail: "this account has no second factor: give the password"})
)

// recentlyProved refuses whoever has not shown lately to be the person: by a code when they have a factor, by the
// password otherwise. The operator of the machine needs no proof; an API key has none.
func recentlyProved(ctx context.Context, tx Tx, caller principal.Principal) error {
	if isOperator(ctx) {
		return nil
	}
	if caller.SessionID == "" {
		return errNeedsSession
	}
	sess, err := tx.Session(ctx, caller.SessionID)
	if err != nil {
		return err
	}
	holds, err := holdsFactor(ctx, tx, caller.UserID)
	if err != nil {
		return err
	}
	// Tokens say when they were issued in whole seconds. A clock that was set back must not hold the proof open.
	older := caller.IssuedAt.Before(sess.ProvedAt.Truncate(time.Second))
	if older || tx.Now().Sub(sess.ProvedAt).Abs() >= stepUpLife || (holds && sess.Proof != ProofFactor) || sess.Proof == ProofVouched {
		return errStepUp
	}
	return nil
}

// guardedByFactor asks those who have a second factor for a recent proof, and nobody else: calls that ask for the
// password anyway.
func guardedByFactor(ctx context.Context, tx Tx, caller principal.Principal) error {
	if isOperator(ctx) {
		return nil
	}
	holds, err := holdsFactor(ctx, tx, caller.UserID)
	if err != nil || !holds {
		return err
	}
	return recentlyProved(ctx, tx, caller)
}

// StepUpInput is what the caller shows: a code or a passkey where there is a factor, the password otherwise.
type StepUpInput struct {
	Password secret.String
	Code     secret.String
	Passkey  []byte // what a passkey has answered to AskStepUp
	Client   Client
}

// AskStepUp is what to ask one of the caller's passkeys for, as JSON. Faults: Conflict without a passkey.
func (s *Service) AskStepUp(ctx context.Context, caller principal.Principal) (options []byte, err error) {
	if s.opts.WebAuthn == nil {
		return nil, errNoPasskeys
	}
	if caller.SessionID == "" {
		return nil, errNeedsSession
	}
	err = s.store.View(ctx, func(tx Tx) error {
		a := act{resource: resSessions, verb: actUpdate, owner: caller.UserID}
		if err := check(ctx, tx, caller, a); err != nil {
			return err
		}
		factors, err := tx.Factors(ctx, caller.UserID)
		if err != nil {
			return err
		}
		if len(passkeysOf(factors)) == 0 {
			return errHasNoPasskey
		}
		options, err = s.askPasskey(tx, stepUpAsk(caller), factors, false)
		return err
	})
	return options, err
}

func stepUpAsk(caller principal.Principal) passkeyAsk {
	return newPasskeyAsk(passkeyStepUp, caller.UserID, caller.SessionID)
}

// StepUp proves the caller anew and rotates the session. Whoever loses the answer steps up once more with the access token
// they have. Faults: Invalid, InvalidCurrentPassword, InvalidCredentials for a wrong code, RateLimited, Forbidden for an
// API key.
func (s *Service) StepUp(ctx context.Context, caller principal.Principal, in StepUpInput) (Tokens, error) {
	if caller.SessionID == "" {
		return Tokens{}, errNeedsSession
	}
	in.Client = in.Client.cleaned()
	a := act{
		resource: resSessions, verb: actUpdate, owner: caller.UserID, name: "session.step_up",
		target: sessionTarget(caller.SessionID), subject: caller.UserID, client: in.Client,
	}
	var confirmed *User
	var shown *shownPasskey
	switch {
	case in.Passkey != nil:
		var err error
		if shown, err = s.lookAs(ctx, stepUpAsk(caller), in.Passkey); err != nil {
			return Tokens{}, err
		}
	case in.Code.IsZero():
		u, err := s.confirm(ctx, caller, a, in.Client, confirmation{password: in.Password})
		if err != nil {
			return Tokens{}, err
		}
		confirmed = &u
	}
	e := entering{live: newSecret()}
	var refusal error // committed: the failure counts
	err := s.change(ctx, func(tx Tx) (err error) {
		refusal, e.now = nil, tx.Now()
		if err := check(ctx, tx, caller, a); err != nil {
			return err
		}
		u, err := tx.User(ctx, caller.UserID)
		if err != nil {
			return err
		}
		proof, wrong, err := s.prove(ctx, tx, u, confirmed, in, shown)
		if err != nil {
			return err
		}
		done := a
		if refusal = wrong; wrong != nil {
			done.name = "session.step_up_failed"
			return checkAndLog(ctx, tx, caller, done)
		}
		if err := checkAndLog(ctx, tx, caller, done); err != nil {
			return err
		}
		return s.reissue(ctx, tx, &e, caller.SessionID, proof)
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return Tokens{}, err
	}
	s.post.wake()
	return s.issue(e.policy, e.session, e.rights, e.live, e.now, nil)
}

// prove judges what was shown. wrong is a refusal whose count must be committed.
func (s *Service) prove(ctx context.Context, tx Tx, u User, confirmed *User, in StepUpInput, shown *shownPasskey) (proof Proof, wrong, err error) {
	holds, err := holdsFactor(ctx, tx, u.ID)
	switch {
	case err != nil:
		return "", nil, err
	case holds && confirmed != nil:
		return "", nil, errGive
	case !holds && confirmed == nil:
		return "", nil, errNoCode
	case confirmed != nil && confirmed.PasswordHash != u.PasswordHash:
		return "", nil, errCurrentPassword
	case confirmed != nil:
		return ProofPassword, nil, nil
	}
	wrong, err = s.takeFactor(ctx, tx, u, countStepUp, in.Code, shown, in.Client)
	return ProofFactor, wrong, err
}

// reissue rotates the session past every refresh token there is. Nothing is sealed for the one before: only who has
// stepped up gets the next.
func (s *Service) reissue(ctx context.Context, tx Tx, e *entering, sessionID string, proof Proof) (err error) {
	if e.session, e.rights, _, err = tx.SessionForRefresh(ctx, sessionID); err != nil {
		return err
	}
	e.policy = s.policyNamed(e.session.Policy)
	if e.policy.expired(e.session, e.now) {
		return errSessionEnded
	}
	e.session.Generation++
	e.session.PreviousHash, e.session.SecretHash, e.session.Sealed = [32]byte{}, hashSecret(e.live), nil
	e.session.RefreshedAt = e.now
	e.session.RefreshUntil = e.policy.refreshUntil(e.session.CreatedAt, e.now)
	e.session.AccessUntil = later(e.session.AccessUntil, accessUntil(e.policy, e.now))
	if err := tx.RotateSession(ctx, e.session); err != nil {
		return err
	}
	e.session.ProvedAt, e.session.Proof = e.now, proof
	return tx.ProveSession(ctx, sessionID, e.now, proof)
}
