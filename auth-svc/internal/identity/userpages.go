package identity

import (
	"context"
	"errors"
	"strconv"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// UserOrder is an order of people by one of their fields.
type UserOrder struct {
	By         UserField
	Descending bool
}

// UserField is what people can be ordered by.
type UserField string

// The fields. People without a username come as if theirs were empty.
const (
	ByCreation UserField = "created_at"
	ByChange   UserField = "updated_at"
	ByUsername UserField = "username" // in canonical form
)

// maxUserPages bounds how deep pages by number go: each skipped person is read. Cursors go further.
const maxUserPages = 10_000

// PageUsers lists people by the number of a page, from 1, for contracts without cursors. size is 1 to 100. Faults: Forbidden,
// Invalid.
func (s *Service) PageUsers(ctx context.Context, caller principal.Principal, o UserOrder, page, size int) (people []User, err error) {
	var bad []fault.Field
	if page < 1 || page > maxUserPages {
		bad = append(bad, fault.Field{Field: "page", Code: "RANGE", Detail: "must be from 1 to " + strconv.Itoa(maxUserPages)})
	}
	if size < 1 || size > maxPage {
		bad = append(bad, fault.Field{Field: "page_size", Code: "RANGE", Detail: "must be from 1 to " + strconv.Itoa(maxPage)})
	}
	switch o.By {
	case ByCreation, ByChange, ByUsername:
	default:
		bad = append(bad, fault.Field{Field: "order", Code: "INVALID", Detail: "must be created_at, updated_at or username"})
	}
	if len(bad) > 0 {
		return nil, fault.Validation(bad...)
	}
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resUsers, verb: actRead}); err != nil {
			return err
		}
		people, err = tx.UsersInOrder(ctx, o, int64(page-1)*int64(size), size)
		return err
	})
	return people, err
}

// RightsOf returns what people may do by role and by themselves, in the order of ids; scope self reaches the caller's own.
// Whoever is not there has none. Faults: Forbidden.
func (s *Service) RightsOf(ctx context.Context, caller principal.Principal, ids ...string) (rights []Rights, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		rights = make([]Rights, len(ids))
		for i, id := range ids {
			if err := check(ctx, tx, caller, act{resource: resUsers, verb: actRead, owner: id}); err != nil {
				return err
			}
			r, err := tx.Rights(ctx, id)
			if err != nil && !errors.Is(err, fault.Of(fault.NotFound)) {
				return err
			}
			rights[i] = r
		}
		return nil
	})
	return rights, err
}

// Blocked reports whether an account is blocked, for contracts that tell those whose sessions a block has ended why. Ask it
// only for who has shown a token of that account.
func (s *Service) Blocked(ctx context.Context, userID string) (blocked bool, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		u, err := tx.User(ctx, userID)
		if errors.Is(err, fault.Of(fault.NotFound)) {
			return nil
		}
		blocked = u.Status == Blocked
		return err
	})
	return blocked, err
}
