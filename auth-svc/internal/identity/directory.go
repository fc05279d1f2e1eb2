package identity

import (
	"context"
	"strings"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// UserFilter narrows a list of people. Empty fields match everybody.
type UserFilter struct {
	Text   string // part of an identifier in canonical form, or of the name with the case of ASCII letters ignored
	Status Status
	Role   string
}

// Key is the text in the form identifiers have.
func (f UserFilter) Key() string { return fold(f.Text) }

// Directory finds people for those who look after them.
type Directory interface {
	// FindUsers lists the people that match, newest first, after the cursor when it is not zero.
	FindUsers(ctx context.Context, f UserFilter, after Cursor, limit int) ([]User, error)
	// UsersInOrder lists people in an order, ties broken by id in the same direction, without the first skip.
	UsersInOrder(ctx context.Context, o UserOrder, skip int64, limit int) ([]User, error)
}

const maxFilterBytes = 254

// check finds what is wrong with a filter.
func (f UserFilter) check() (bad []fault.Field) {
	if len(f.Text) > maxFilterBytes || !isShowable(f.Text) {
		bad = append(bad, fault.Field{Field: "q", Code: "INVALID", Detail: "must be at most 254 bytes of text"})
	}
	if f.Status != "" && f.Status != Active && f.Status != Blocked {
		bad = append(bad, fault.Field{Field: "status", Code: "INVALID", Detail: "must be active or blocked"})
	}
	if f.Role != "" && !isRoleName(f.Role) {
		bad = append(bad, fault.Field{Field: "role", Code: "INVALID", Detail: "must be the name of a role"})
	}
	return bad
}

// ListUsers lists people, newest first. limit is 1 to 100. Faults: Forbidden, Invalid.
func (s *Service) ListUsers(ctx context.Context, caller principal.Principal, f UserFilter, after Cursor, limit int) (page Page[User], err error) {
	f.Text = strings.TrimSpace(f.Text)
	if bad := f.check(); len(bad) > 0 {
		return page, fault.Validation(bad...)
	}
	limit = min(max(limit, 1), maxPage)
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resUsers, verb: actRead}); err != nil {
			return err
		}
		items, err := tx.FindUsers(ctx, f, after, limit+1)
		page = pageOf(items, limit, func(u User) Cursor { return Cursor{At: u.CreatedAt, ID: u.ID} })
		return err
	})
	return page, err
}

// GetUser returns one person's record; scope self reaches the caller's own. Faults: Forbidden, NotFound.
func (s *Service) GetUser(ctx context.Context, caller principal.Principal, userID string) (u User, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resUsers, verb: actRead, owner: userID}); err != nil {
			return err
		}
		u, err = tx.User(ctx, userID)
		return missing(err)
	})
	return u, err
}

// FindUser returns the person with this id or identifier, as it was typed. Faults: Forbidden, NotFound.
func (s *Service) FindUser(ctx context.Context, caller principal.Principal, who string) (u User, err error) {
	if _, ok := parseID(who); ok {
		return s.GetUser(ctx, caller, who)
	}
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resUsers, verb: actRead}); err != nil {
			return err
		}
		id, ok := ParseIdentifier(who)
		if !ok {
			return errNoUser
		}
		u, err = tx.UserByIdentifier(ctx, id)
		return missing(err)
	})
	return u, err
}
