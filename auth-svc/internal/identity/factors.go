package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
)

const (
	maxFactors         = 10 // of one person
	maxFactorNameRunes = 100
	enrolLife          = 10 * time.Minute // how long a new factor waits for its first code
)

var (
	errNoFactor       = fault.New(fault.NotFound, "no such factor")
	errTooManyFactors = fault.New(fault.Conflict, "too many factors; remove one first")
	errNeedsFactor    = fault.New(fault.Conflict, "recovery codes need a confirmed factor")
)

// FactorList is what a person may know of their second factors.
type FactorList struct {
	Factors           []Factor
	RecoveryCodesLeft int
}

// EnrolledFactor is a new factor with what an app needs, told this once.
type EnrolledFactor struct {
	Factor Factor
	Secret secret.String // base32
	URI    secret.String // otpauth://
}

// ListFactors lists the caller's factors, oldest first.
func (s *Service) ListFactors(ctx context.Context, caller principal.Principal) (l FactorList, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resUsers, verb: actRead, owner: caller.UserID}); err != nil {
			return err
		}
		l, err = factorList(ctx, tx, caller.UserID)
		return err
	})
	return l, err
}

func factorList(ctx context.Context, tx Tx, userID string) (l FactorList, err error) {
	if l.Factors, err = tx.Factors(ctx, userID); err != nil {
		return l, err
	}
	l.RecoveryCodesLeft, err = tx.CountRecoveryCodes(ctx, userID)
	return l, err
}

// EnrolFactor begins an app that makes codes, a factor of the caller; it guards nothing until ConfirmFactor. It needs a recent proof, or whoever
// finds a session open could lock its owner out. Faults: Invalid, Forbidden, Conflict for too many.
func (s *Service) EnrolFactor(ctx context.Context, caller principal.Principal, name string) (EnrolledFactor, error) {
	if s.opts.OTP == nil {
		return EnrolledFactor{}, errNoFactors
	}
	name, err := factorName(name)
	if err != nil {
		return EnrolledFactor{}, err
	}
	e := EnrolledFactor{Factor: Factor{ID: s.opts.NewID(), UserID: caller.UserID, Kind: FactorTOTP, Name: name}}
	err = s.store.InTx(ctx, func(tx Tx) (err error) {
		u, _, err := s.beginFactor(ctx, tx, caller, &e.Factor)
		if err != nil {
			return err
		}
		if e.Secret, e.URI, err = s.opts.OTP.Generate(u.shownAs()); err != nil {
			return fmt.Errorf("make a factor's secret: %w", err)
		}
		e.Factor.Sealed = s.opts.Sealer.Seal(factorLabel(e.Factor), []byte(e.Secret.Reveal()))
		return tx.InsertFactor(ctx, e.Factor)
	})
	return e, err
}

// factorName tidies what somebody calls a factor.
func factorName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" || len([]rune(name)) > maxFactorNameRunes || !isShowable(name) {
		return "", fault.Validation(fault.Field{
			Field: "name", Code: "INVALID", Detail: "must have 1 to 100 characters, without control characters",
		})
	}
	return name, nil
}

// beginFactor passes the door to a new factor and makes room for it. have is what the person holds besides.
func (s *Service) beginFactor(ctx context.Context, tx Tx, caller principal.Principal, f *Factor) (u User, have []Factor, err error) {
	if err := ownFactors(ctx, tx, caller, "factor.enrol", f.ID); err != nil {
		return u, nil, err
	}
	if err := recentlyProved(ctx, tx, caller); err != nil {
		return u, nil, err
	}
	if have, err = s.makeRoomForFactor(ctx, tx, caller.UserID); err != nil {
		return u, nil, err
	}
	f.CreatedAt = tx.Now()
	u, err = tx.User(ctx, caller.UserID)
	return u, have, err
}

// shownAs is how an app tells one account from another.
func (u User) shownAs() string {
	for _, v := range []string{u.Email, u.Username, u.Phone} {
		if v != "" {
			return v
		}
	}
	return u.ID
}

// makeRoomForFactor forgets an enrolment that was never finished, so that there is at most one, and lists the others.
func (s *Service) makeRoomForFactor(ctx context.Context, tx Tx, userID string) (have []Factor, err error) {
	factors, err := tx.Factors(ctx, userID)
	if err != nil {
		return nil, err
	}
	for _, f := range factors {
		if f.Confirmed() {
			have = append(have, f)
		} else if err := tx.DeleteFactor(ctx, userID, f.ID); err != nil {
			return nil, err
		}
	}
	if len(have) >= maxFactors {
		s.opts.Observer.Passkey("full")
		return nil, errTooManyFactors
	}
	return have, nil
}

// ConfirmFactor lets an app guard its owner from now on, on the proof of a code. With the first factor come recovery
// codes, told this once; other factors bring none. Faults: NotFound, InvalidCredentials.
func (s *Service) ConfirmFactor(ctx context.Context, caller principal.Principal, client Client, id string, code secret.String) (codes []secret.String, err error) {
	made, hashes := newRecoveryCodes(caller.UserID)
	err = s.store.InTx(ctx, func(tx Tx) error {
		codes = nil
		u, factors, err := enrolling(ctx, tx, caller, id, FactorTOTP)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(factors, func(f Factor) bool { return f.ID == id })
		// Wrong codes need no count here: whoever enrols has just been told the secret.
		taken, err := s.spendStep(ctx, tx, factors[at], tidyCode(code))
		if err != nil {
			return err
		}
		if !taken {
			return errCode
		}
		if !slices.ContainsFunc(factors, Factor.Confirmed) {
			codes = made
			if err := tx.PutRecoveryCodes(ctx, caller.UserID, hashes); err != nil {
				return err
			}
		}
		if err := tx.ConfirmFactor(ctx, id, tx.Now()); err != nil {
			return err
		}
		return s.guardedFromNow(ctx, tx, caller, u, client)
	})
	s.post.wake()
	return codes, err
}

// enrolling passes the door to a factor that waits to be confirmed, and returns all that its owner holds. The factor is
// among them.
func enrolling(ctx context.Context, tx Tx, caller principal.Principal, id string, kind FactorKind) (u User, factors []Factor, err error) {
	if err := ownFactors(ctx, tx, caller, "factor.confirm", id); err != nil {
		return u, nil, err
	}
	return waiting(ctx, tx, caller, id, kind)
}

// waiting is enrolling behind the door.
func waiting(ctx context.Context, tx Tx, caller principal.Principal, id string, kind FactorKind) (u User, factors []Factor, err error) {
	if err := recentlyProved(ctx, tx, caller); err != nil {
		return u, nil, err
	}
	if factors, err = tx.Factors(ctx, caller.UserID); err != nil {
		return u, nil, err
	}
	at := slices.IndexFunc(factors, func(f Factor) bool { return f.ID == id && f.Kind == kind && !f.Confirmed() })
	if at < 0 || tx.Now().Sub(factors[at].CreatedAt).Abs() >= enrolLife {
		return u, nil, errNoFactor
	}
	u, err = tx.User(ctx, caller.UserID)
	return u, factors, err
}

// guardedFromNow makes a new factor count for the session that has just shown it, and tells its owner.
func (s *Service) guardedFromNow(ctx context.Context, tx Tx, caller principal.Principal, u User, client Client) error {
	sess, err := tx.Session(ctx, caller.SessionID)
	if err != nil {
		return err
	}
	if err := tx.ProveSession(ctx, sess.ID, sess.ProvedAt, ProofFactor); err != nil {
		return err
	}
	return s.notify(ctx, tx, u, MailFactorAdded, client.cleaned())
}

// RenameFactor changes what the caller calls a factor. Faults: Invalid, NotFound.
func (s *Service) RenameFactor(ctx context.Context, caller principal.Principal, id, name string) (f Factor, err error) {
	if name, err = factorName(name); err != nil {
		return f, err
	}
	err = s.store.InTx(ctx, func(tx Tx) error {
		if err := ownFactors(ctx, tx, caller, "factor.rename", id); err != nil {
			return err
		}
		factors, err := tx.Factors(ctx, caller.UserID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(factors, func(f Factor) bool { return f.ID == id })
		if at < 0 {
			return errNoFactor
		}
		f = factors[at]
		f.Name = name
		return tx.NameFactor(ctx, caller.UserID, id, name)
	})
	return f, err
}

// RemoveFactor forgets a factor of the caller, and with the last one the recovery codes. Faults: NotFound, Forbidden
// without a recent step-up.
func (s *Service) RemoveFactor(ctx context.Context, caller principal.Principal, client Client, id string) error {
	err := s.store.InTx(ctx, func(tx Tx) error {
		if err := ownFactors(ctx, tx, caller, "factor.remove", id); err != nil {
			return err
		}
		if err := recentlyProved(ctx, tx, caller); err != nil {
			return err
		}
		factors, err := tx.Factors(ctx, caller.UserID)
		if err != nil {
			return err
		}
		if err := dropFactor(ctx, tx, caller.UserID, id); err != nil {
			return err
		}
		if !slices.ContainsFunc(factors, func(f Factor) bool { return f.ID == id && f.Confirmed() }) {
			return nil // it guarded nothing: no mail had told of it either
		}
		u, err := tx.User(ctx, caller.UserID)
		if err != nil {
			return err
		}
		if err := waysLeft(ctx, tx, u); err != nil {
			return err
		}
		return s.notify(ctx, tx, u, MailFactorRemoved, client.cleaned())
	})
	s.post.wake()
	return err
}

// waysLeft refuses to leave somebody without any way in: no password, no provider and no passkey.
func waysLeft(ctx context.Context, tx Tx, u User) error {
	if u.hasPasswordLogin() {
		return nil
	}
	elsewhere, err := tx.ExternalIdentitiesOf(ctx, u.ID)
	if err != nil || len(elsewhere) > 0 {
		return err
	}
	factors, err := tx.Factors(ctx, u.ID)
	if err == nil && len(passkeysOf(factors)) == 0 {
		return errLastPasskey
	}
	return err
}

// dropFactor forgets a factor, and with the last one the recovery codes. It returns errNoFactor.
func dropFactor(ctx context.Context, tx Tx, userID, id string) error {
	err := tx.DeleteFactor(ctx, userID, id)
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return errNoFactor
	}
	if err != nil {
		return err
	}
	holds, err := holdsFactor(ctx, tx, userID)
	if err != nil || holds {
		return err
	}
	return tx.PutRecoveryCodes(ctx, userID, nil)
}

// NewRecoveryCodes gives the caller ten new recovery codes, told this once; those before are worth nothing from then
// on. Faults: Conflict without a factor, Forbidden without a recent step-up.
func (s *Service) NewRecoveryCodes(ctx context.Context, caller principal.Principal, client Client) ([]secret.String, error) {
	codes, hashes := newRecoveryCodes(caller.UserID)
	err := s.store.InTx(ctx, func(tx Tx) error {
		if err := ownFactors(ctx, tx, caller, "recovery_codes.make", ""); err != nil {
			return err
		}
		holds, err := holdsFactor(ctx, tx, caller.UserID)
		if err != nil {
			return err
		}
		if !holds {
			return errNeedsFactor
		}
		if err := recentlyProved(ctx, tx, caller); err != nil {
			return err
		}
		if err := tx.PutRecoveryCodes(ctx, caller.UserID, hashes); err != nil {
			return err
		}
		u, err := tx.User(ctx, caller.UserID)
		if err != nil {
			return err
		}
		return s.notify(ctx, tx, u, MailRecoveryCodes, client.cleaned())
	})
	if err != nil {
		return nil, err
	}
	s.post.wake()
	return codes, nil
}

// ownFactors is the door to changes of one's own factors.
func ownFactors(ctx context.Context, tx Tx, caller principal.Principal, name, factorID string) error {
	a := act{resource: resUsers, verb: actUpdate, owner: caller.UserID, name: name, target: userTarget(caller.UserID)}
	if _, ok := parseID(factorID); ok { // what is not an id may be anything, and is not for the trail
		a.detail = map[string]any{"factor_id": factorID}
	}
	return checkAndLog(ctx, tx, caller, a)
}

func holdsFactor(ctx context.Context, tx Tx, userID string) (bool, error) {
	factors, err := tx.Factors(ctx, userID)
	return slices.ContainsFunc(factors, Factor.Confirmed), err
}

// kindsHeld lists the kinds of a person's confirmed factors, each once, sorted.
func kindsHeld(ctx context.Context, tx Tx, userID string) (kinds []FactorKind, err error) {
	factors, err := tx.Factors(ctx, userID)
	for _, f := range factors {
		if f.Confirmed() {
			kinds = append(kinds, f.Kind)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), err
}
