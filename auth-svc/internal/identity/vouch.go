package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

var errVouchFactor = fault.New(fault.Forbidden, "this account asks for a second factor, for which nobody else can vouch")

// OpenSessionFor opens a session for somebody whom the caller, a service that has seen to it by itself, vouches for. It takes
// sessions:create:all. What the person may do the session may do, so the caller must have all of it, but for what every guest
// has; and nobody vouches for an administrator, or past a second factor. Nothing has been proved here: calls that ask for a
// recent proof refuse such a session. Faults: Forbidden, NotFound, AccountDeactivated, Conflict at the session cap.
func (s *Service) OpenSessionFor(ctx context.Context, caller principal.Principal, userID string, client Client) (Tokens, error) {
	client = client.cleaned()
	a := act{resource: resSessions, verb: actCreate, name: "session.vouch", subject: userID, client: client}
	var e entering
	err := s.change(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, a); err != nil {
			return err
		}
		u, err := tx.User(ctx, userID)
		if err != nil {
			return missing(err)
		}
		if err := mayVouch(ctx, tx, caller, u); err != nil {
			return err
		}
		u.LastLoginAt = tx.Now()
		if err := tx.UpdateUser(ctx, u); err != nil {
			return err
		}
		if e, err = s.openSession(ctx, tx, u, client, ProofVouched); err != nil {
			return err
		}
		a.target, a.detail = sessionTarget(e.session.ID), map[string]any{"user_id": u.ID, "sessions_ended": e.ended}
		return checkAndLog(ctx, tx, caller, a)
	})
	if err != nil {
		return Tokens{}, fmt.Errorf("open a session for somebody: %w", err)
	}
	entry, err := s.entered(e)
	return entry.Tokens, err
}

// mayVouch refuses those for whom this caller can't speak.
func mayVouch(ctx context.Context, tx Tx, caller principal.Principal, u User) error {
	if u.Status != Active {
		return errDeactivated
	}
	if slices.Contains(u.Roles, RoleAdmin) {
		return errOutranked
	}
	everyone, err := permissionsOf(ctx, tx, []string{RoleGuest}, nil)
	if err != nil {
		return err
	}
	theirs, err := tx.Rights(ctx, u.ID)
	if err != nil {
		return missing(err)
	}
	switch err := mayGive(ctx, tx, caller, everyone, theirs.Permissions); {
	case errors.Is(err, fault.Of(fault.Forbidden)):
		return errOutranked
	case err != nil:
		return err
	}
	holds, err := holdsFactor(ctx, tx, u.ID)
	if err == nil && holds {
		err = errVouchFactor
	}
	return err
}
