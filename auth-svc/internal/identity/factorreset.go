package identity

import (
	"context"

	"cloakroom.dev/libs/principal"
)

// ListFactorsOf lists somebody's factors, oldest first. Faults: Forbidden, NotFound.
func (s *Service) ListFactorsOf(ctx context.Context, caller principal.Principal, userID string) (l FactorList, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resUsers, verb: actRead, owner: userID}); err != nil {
			return err
		}
		if _, err := tx.User(ctx, userID); err != nil {
			return missing(err)
		}
		l, err = factorList(ctx, tx, userID)
		return err
	})
	return l, err
}

// ResetFactors forgets a factor of somebody who has lost it, or with no id all of them and the recovery codes, ends every
// session of that person and tells them. It says how many factors went. Whoever can do this can get past a second
// factor, so it takes a recent proof of the caller's own; people use RemoveFactor for themselves. Faults: Forbidden,
// NotFound.
func (s *Service) ResetFactors(ctx context.Context, caller principal.Principal, client Client, userID, factorID string) (n int, err error) {
	client = client.cleaned()
	a := act{
		resource: resUsers, verb: actUpdate, name: "factor.reset", target: userTarget(userID), subject: caller.UserID, client: client,
		detail: map[string]any{"all": factorID == ""},
	}
	if _, ok := parseID(factorID); ok {
		a.detail["factor_id"] = factorID
	}
	err = s.change(ctx, func(tx Tx) error {
		u, err := reach(ctx, tx, caller, userID, a)
		if err != nil {
			return err
		}
		if err := recentlyProved(ctx, tx, caller); err != nil {
			return err
		}
		if n, err = dropFactors(ctx, tx, userID, factorID); err != nil {
			return err
		}
		if _, err := endSessions(ctx, tx, userID, ""); err != nil {
			return err
		}
		// The owner is told where they read mail, not from where the administrator calls.
		return s.notify(ctx, tx, u, MailFactorsReset, Client{})
	})
	s.post.wake()
	return n, err
}

// dropFactors forgets one factor, or with no id all of them and the recovery codes.
func dropFactors(ctx context.Context, tx Tx, userID, factorID string) (n int, err error) {
	if factorID != "" {
		return 1, dropFactor(ctx, tx, userID, factorID)
	}
	factors, err := tx.Factors(ctx, userID)
	if err != nil {
		return 0, err
	}
	for _, f := range factors {
		if err := tx.DeleteFactor(ctx, userID, f.ID); err != nil {
			return 0, err
		}
	}
	return len(factors), tx.PutRecoveryCodes(ctx, userID, nil)
}
