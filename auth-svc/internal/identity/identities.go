package identity

import (
	"context"
	"errors"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

var (
	errLinkedElsewhere = fault.New(fault.Duplicate, "this sign-in is linked already, or another one of that provider is linked to this account")
	errNoIdentity      = fault.New(fault.NotFound, "no such linked sign-in")
	errLastWayIn       = fault.New(fault.Conflict, "this is the last way to sign in to this account; set a password or link another provider first")
)

// ListIdentities lists where else the caller can sign in, oldest first.
func (s *Service) ListIdentities(ctx context.Context, caller principal.Principal) (list []ExternalIdentity, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resUsers, verb: actRead, owner: caller.UserID}); err != nil {
			return err
		}
		list, err = tx.ExternalIdentitiesOf(ctx, caller.UserID)
		return err
	})
	return list, err
}

// LinkIdentity lets the caller sign in with a provider from now on, whatever address it knows. The code comes from the same
// steps as a sign-in. It needs a recent proof, or whoever finds a session open could keep a way in. Faults: InvalidCredentials
// for a code that is not good, Duplicate, Forbidden.
func (s *Service) LinkIdentity(ctx context.Context, caller principal.Principal, in ExchangeInput) (e ExternalIdentity, err error) {
	key, err := s.openHandoff(HandoffCode, in.Code)
	if err != nil {
		return e, err
	}
	client := in.Client.cleaned()
	err = s.store.InTx(ctx, func(tx Tx) error {
		a, p, err := s.takeAssertion(ctx, tx, key, in.Verifier)
		if err != nil {
			return err
		}
		u, err := own(ctx, tx, caller, identityAct(caller, "identity.link", map[string]any{"provider": p.Name}))
		if err != nil {
			return err
		}
		if err := recentlyProved(ctx, tx, caller); err != nil {
			return err
		}
		e, err = s.link(ctx, tx, p, a.Claims, caller.UserID)
		if errors.Is(err, fault.Of(fault.Duplicate)) {
			return errLinkedElsewhere
		}
		if err != nil {
			return err
		}
		return s.notify(ctx, tx, u, MailIdentityLinked, client)
	})
	s.post.wake()
	return e, err
}

// UnlinkIdentity ends that the caller can sign in with a provider. Sessions go on. Faults: NotFound, Forbidden without a recent
// proof, Conflict for the last way in.
func (s *Service) UnlinkIdentity(ctx context.Context, caller principal.Principal, id string, client Client) error {
	detail := map[string]any{}
	if _, ok := parseID(id); ok { // what is not an id may be anything, and is not for the trail
		detail["identity_id"] = id
	}
	err := s.store.InTx(ctx, func(tx Tx) error {
		u, err := own(ctx, tx, caller, identityAct(caller, "identity.unlink", detail))
		if err != nil {
			return err
		}
		if err := recentlyProved(ctx, tx, caller); err != nil {
			return err
		}
		err = tx.DeleteExternalIdentity(ctx, caller.UserID, id)
		if errors.Is(err, fault.Of(fault.NotFound)) {
			return errNoIdentity
		}
		if err != nil {
			return err
		}
		left, err := tx.ExternalIdentitiesOf(ctx, caller.UserID)
		if err != nil {
			return err
		}
		if len(left) == 0 && !u.hasPasswordLogin() {
			return errLastWayIn
		}
		return s.notify(ctx, tx, u, MailIdentityUnlinked, client.cleaned())
	})
	s.post.wake()
	return err
}

// hasPasswordLogin reports whether a password opens the account: there is one, and a name to type with it.
func (u User) hasPasswordLogin() bool { return u.PasswordHash != "" && len(u.checkReachable()) == 0 }

// identityAct is a change of where else the caller can sign in.
func identityAct(caller principal.Principal, name string, detail map[string]any) act {
	return act{
		resource: resUsers, verb: actUpdate, owner: caller.UserID, name: name, target: userTarget(caller.UserID), detail: detail,
	}
}

// reachable refuses to leave somebody without any name: who has none can still come in through a provider.
func reachable(ctx context.Context, tx Tx, u User) error {
	bad := u.checkReachable()
	if len(bad) == 0 {
		return nil
	}
	elsewhere, err := tx.ExternalIdentitiesOf(ctx, u.ID)
	if err != nil || len(elsewhere) > 0 {
		return err
	}
	return fault.Validation(bad...)
}

// forgetIdentities ends all other ways to sign in.
func forgetIdentities(ctx context.Context, tx Tx, userID string) error {
	list, err := tx.ExternalIdentitiesOf(ctx, userID)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := tx.DeleteExternalIdentity(ctx, userID, e.ID); err != nil {
			return err
		}
	}
	return nil
}
