package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// RoleList is the roles as a whole.
type RoleList interface {
	// Roles lists the roles whose name comes after a name, in order.
	Roles(ctx context.Context, after string, limit int) ([]Role, error)
	// CountHolders counts who has the role, active or not, and stops at limit.
	CountHolders(ctx context.Context, role string, limit int) (int, error)
	// DeleteRole removes a role and takes it from everybody. It returns fault.NotFound.
	DeleteRole(ctx context.Context, name string) error
}

// The bounds. A role that more people have can't be taken from all of them in one transaction without keeping every
// other writer waiting; emptied of permissions it is worth nothing, at the cost of one row.
const (
	maxRoles        = 500
	maxTakenHolders = 10_000
)

var (
	errNoRole       = fault.New(fault.NotFound, "no such role")
	errAdminRole    = fault.New(fault.Conflict, "the role admin is built in and stays as it is")
	errBuiltInRole  = fault.New(fault.Conflict, "a built-in role can't be deleted")
	errTooManyRoles = fault.New(fault.Conflict, "there are "+strconv.Itoa(maxRoles)+" roles; delete one first")
	errRoleInUse    = fault.New(fault.Conflict, "too many people have this role to take it from all at once; put it without permissions instead")
)

// ListRoles lists the roles by name. limit is 1 to 100. Faults: Forbidden.
func (s *Service) ListRoles(ctx context.Context, caller principal.Principal, after Cursor, limit int) (page Page[Role], err error) {
	limit = min(max(limit, 1), maxPage)
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resRoles, verb: actRead}); err != nil {
			return err
		}
		items, err := tx.Roles(ctx, after.ID, limit+1)
		page = pageOf(items, limit, func(r Role) Cursor { return Cursor{ID: r.Name} })
		return err
	})
	return page, err
}

// PutRole makes a role or replaces its permissions, for everybody who has it: one entry in the log makes all their
// tokens stale, however many they are (ADR 0013). created says which it was. Nobody gives more than they have, or
// changes a role that does. Faults: Forbidden, Invalid, Conflict for the role admin.
func (s *Service) PutRole(ctx context.Context, caller principal.Principal, name string, ps []principal.Permission) (r Role, created bool, err error) {
	bad := checkPermissions(ps)
	if !isRoleName(name) {
		bad = append(bad, fault.Field{Field: "name", Code: "INVALID", Detail: "must be a lower-case word of at most 64 letters, digits, dashes or underscores"})
	}
	if len(bad) > 0 {
		return Role{}, false, fault.Validation(bad...)
	}
	ps = SortPermissions(ps)
	err = s.change(ctx, func(tx Tx) error {
		old, err := tx.Role(ctx, name)
		created = errors.Is(err, fault.Of(fault.NotFound))
		if err != nil && !created {
			return fmt.Errorf("read the role: %w", err)
		}
		if err := openRole(ctx, tx, caller, name, old, ps, created); err != nil {
			return err
		}
		r = Role{Name: name, Permissions: ps, BuiltIn: old.BuiltIn, Epoch: old.Epoch}
		if !created && slices.Equal(old.Permissions, ps) {
			return nil // nobody's rights change, so nobody needs a new token
		}
		if r.Epoch, err = raiseRoleEpoch(ctx, tx, name); err != nil {
			return err
		}
		return tx.PutRole(ctx, r)
	})
	return r, created, err
}

// openRole passes the door to making or changing a role.
func openRole(ctx context.Context, tx Tx, caller principal.Principal, name string, old Role, ps []principal.Permission, created bool) error {
	a := act{
		resource: resRoles, verb: actUpdate, name: "role.put", target: roleTarget(name),
		detail: map[string]any{"permissions": texts(ps), "before": texts(old.Permissions)},
	}
	if created {
		a.verb = actCreate
	}
	if err := checkAndLog(ctx, tx, caller, a); err != nil {
		return err
	}
	if name == RoleAdmin {
		return errAdminRole
	}
	if err := mayGive(ctx, tx, caller, nil, slices.Concat(old.Permissions, ps)); err != nil {
		return err
	}
	if !created {
		return nil
	}
	all, err := tx.Roles(ctx, "", maxRoles)
	if err == nil && len(all) >= maxRoles {
		return errTooManyRoles
	}
	return err
}

// DeleteRole removes a role, and with it what it gave to everybody who has it, at once. Faults: Forbidden, NotFound,
// Conflict for a built-in role and for one that too many people have.
func (s *Service) DeleteRole(ctx context.Context, caller principal.Principal, name string) error {
	return s.change(ctx, func(tx Tx) error {
		err := checkAndLog(ctx, tx, caller, act{
			resource: resRoles, verb: actDelete, name: "role.delete", target: roleTarget(clip(name, maxRoleNameBytes)),
		})
		if err != nil {
			return err
		}
		r, err := tx.Role(ctx, name)
		switch {
		case errors.Is(err, fault.Of(fault.NotFound)):
			return errNoRole
		case err != nil:
			return err
		case r.BuiltIn:
			return errBuiltInRole
		}
		if err := mayGive(ctx, tx, caller, nil, r.Permissions); err != nil {
			return err
		}
		n, err := tx.CountHolders(ctx, name, maxTakenHolders+1)
		if err != nil {
			return fmt.Errorf("count who has the role: %w", err)
		}
		if n > maxTakenHolders {
			return errRoleInUse
		}
		if _, err := raiseRoleEpoch(ctx, tx, name); err != nil {
			return err
		}
		return tx.DeleteRole(ctx, name)
	})
}

// raiseRoleEpoch makes every access token stale that the role has given something to. When the last of them expires
// nobody knows without asking every session, so the longest life there is stands in for it: these entries are few.
func raiseRoleEpoch(ctx context.Context, tx Tx, name string) (epoch int64, err error) {
	return revoke(ctx, tx, KindRoleEpoch, name, tx.Now().Add(maxAccessTTL))
}

func roleTarget(name string) string { return "role:" + name }
