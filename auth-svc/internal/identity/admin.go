package identity

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

var (
	errLastAdmin = fault.New(fault.Conflict, "the last administrator can't be removed, blocked or demoted")
	errNoUser    = fault.New(fault.NotFound, "no such user")
)

// SetStatus blocks or unblocks a person; blocking ends the person's sessions. Faults: Forbidden, NotFound, Conflict for
// the last administrator.
func (s *Service) SetStatus(ctx context.Context, caller principal.Principal, userID string, status Status) (User, error) {
	if status != Active && status != Blocked {
		return User{}, fault.Validation(fault.Field{Field: "status", Code: "INVALID", Detail: "must be active or blocked"})
	}
	return s.changeRights(ctx, caller, userID, "user.status", map[string]any{"status": status}, func(tx Tx, u *User) error {
		u.Status = status
		if status == Active {
			return nil
		}
		_, err := endSessions(ctx, tx, u.ID, "")
		return err
	})
}

// SetRights replaces a person's roles and own permissions. Nobody gives more than they have. Faults: Forbidden,
// NotFound, Invalid, Conflict for the last administrator.
func (s *Service) SetRights(ctx context.Context, caller principal.Principal, userID string, roles []string, own []principal.Permission) (User, error) {
	roles = slices.Compact(slices.Sorted(slices.Values(roles)))
	if bad := checkPermissions("permissions", own); len(bad) > 0 {
		return User{}, fault.Validation(bad...)
	}
	detail := map[string]any{"roles": roles, "permissions": texts(own)}
	return s.changeRights(ctx, caller, userID, "user.rights", detail, func(tx Tx, u *User) error {
		before, err := tx.Rights(ctx, u.ID)
		if err != nil {
			return err
		}
		wanted, err := permissionsOf(ctx, tx, roles, own)
		if err != nil {
			return err
		}
		if err := mayGive(ctx, tx, caller, before.Permissions, wanted); err != nil {
			return err
		}
		u.Roles, u.Permissions = roles, SortPermissions(own)
		return tx.SetRoles(ctx, u.ID, roles)
	})
}

// permissionsOf joins what roles and own permissions give. It returns fault.Invalid for a role that is not there.
func permissionsOf(ctx context.Context, tx Tx, roles []string, own []principal.Permission) ([]principal.Permission, error) {
	all := slices.Clone(own)
	for _, name := range roles {
		r, err := tx.Role(ctx, name)
		if errors.Is(err, fault.Of(fault.NotFound)) {
			return nil, fault.Validation(fault.Field{Field: "roles", Code: "UNKNOWN", Detail: "there is no role " + strconv.Quote(clip(name, 64))})
		}
		if err != nil {
			return nil, err
		}
		all = append(all, r.Permissions...)
	}
	return SortPermissions(all), nil
}

// mayGive refuses to give what the caller does not have, unless the person has it already.
func mayGive(ctx context.Context, tx Tx, caller principal.Principal, has, wanted []principal.Permission) error {
	rights, err := tx.Rights(ctx, caller.UserID)
	if err != nil {
		return err
	}
	mine := both(caller.Permissions, rights.Permissions)
	for _, p := range wanted {
		if !covers(has, p) && !covers(mine, p) {
			return errForbidden
		}
	}
	return nil
}

// changeRights runs a change of what a person may do: through the door, with a new epoch in the same transaction, and
// never leaving the service without an administrator.
func (s *Service) changeRights(ctx context.Context, caller principal.Principal, userID, name string, detail map[string]any, change func(Tx, *User) error) (u User, err error) {
	err = s.change(ctx, func(tx Tx) error {
		// The owner is left empty, so that scope self does not let people change their own rights.
		a := act{resource: resUsers, verb: actUpdate, name: name, target: userTarget(userID), detail: detail}
		if err := checkAndLog(ctx, tx, caller, a); err != nil {
			return err
		}
		if u, err = tx.User(ctx, userID); err != nil {
			return missing(err)
		}
		ruled := u.Status == Active && slices.Contains(u.Roles, RoleAdmin)
		if u.Epoch, err = raiseEpoch(ctx, tx, userID); err != nil {
			return err
		}
		if err := change(tx, &u); err != nil {
			return err
		}
		u.UpdatedAt = tx.Now()
		if err := tx.UpdateUser(ctx, u); err != nil || !ruled {
			return err
		}
		return keepAnAdmin(ctx, tx)
	})
	return u, err
}

// keepAnAdmin undoes the transaction that would have left nobody in charge. It runs after an append to the log, whose
// lock keeps two such changes from passing each other.
func keepAnAdmin(ctx context.Context, tx Tx) error {
	n, err := tx.CountActive(ctx, RoleAdmin)
	if err != nil {
		return err
	}
	if n == 0 {
		return errLastAdmin
	}
	return nil
}

// erase removes a person. The files service reads the log entry and removes their files.
func erase(ctx context.Context, tx Tx, u User) error {
	until, err := tx.TokensUntil(ctx, u.ID)
	if err != nil {
		return err
	}
	if _, err := endSessions(ctx, tx, u.ID, ""); err != nil {
		return err
	}
	if _, err := revoke(ctx, tx, KindUserDeleted, u.ID, later(until, tx.Now().Add(longKept))); err != nil {
		return err
	}
	if err := tx.DeleteUser(ctx, u.ID); err != nil {
		return err
	}
	if u.Status != Active || !slices.Contains(u.Roles, RoleAdmin) {
		return nil
	}
	return keepAnAdmin(ctx, tx)
}

func texts(ps []principal.Permission) []string {
	out := make([]string, 0, len(ps))
	for _, p := range ps {
		out = append(out, p.String())
	}
	return out
}

func missing(err error) error {
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return errNoUser
	}
	return err
}
