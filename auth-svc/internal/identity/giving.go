package identity

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// Who may give what, and to whom. Without these rules a permission to change people would be a way to every other
// permission: by giving it to oneself, or by taking over the account of somebody who has it.
//
// An administrator who is signed in stands above both: they are where rights come from, also those of services that
// this one knows nothing about. A key of theirs does not.

var errOutranked = fault.New(fault.Forbidden, "this person has rights the caller does not have")

// mayGive refuses to give what the caller does not have, unless the person has it already.
func mayGive(ctx context.Context, tx Tx, caller principal.Principal, has, wanted []principal.Permission) error {
	mine, above, err := standingOf(ctx, tx, caller)
	if err != nil || above {
		return err
	}
	for _, p := range wanted {
		if !covers(has, p) && !covers(mine, p) {
			return errForbidden
		}
	}
	return nil
}

// mayRule refuses to change somebody who may do what the caller may not: for a key that may be its own maker.
func mayRule(ctx context.Context, tx Tx, caller principal.Principal, userID string) error {
	if userID == caller.UserID && caller.SessionID != "" {
		return nil
	}
	mine, above, err := standingOf(ctx, tx, caller)
	if err != nil || above {
		return err
	}
	theirs, err := tx.Rights(ctx, userID)
	if err != nil {
		return missing(err)
	}
	if slices.Contains(theirs.Roles, RoleAdmin) {
		return errOutranked // who stands above the rules is more than the sum of permissions
	}
	for _, p := range theirs.Permissions {
		if !covers(mine, p) {
			return errOutranked
		}
	}
	return nil
}

// mayCrown lets only an administrator make another, whatever permissions the role is made of.
func mayCrown(ctx context.Context, tx Tx, caller principal.Principal, had, wanted []string) error {
	if slices.Contains(had, RoleAdmin) || !slices.Contains(wanted, RoleAdmin) {
		return nil
	}
	_, above, err := standingOf(ctx, tx, caller)
	if err == nil && !above {
		err = errForbidden
	}
	return err
}

// mayHold refuses an API key that would have more rights than its owner, or than the caller who makes it.
func mayHold(ctx context.Context, tx Tx, caller principal.Principal, ownerID string, wanted []principal.Permission) error {
	owner, err := tx.Rights(ctx, ownerID)
	if err != nil {
		return missing(err)
	}
	mine := owner.Permissions
	if !isOperator(ctx) {
		callers, _, err := standingOf(ctx, tx, caller)
		if err != nil {
			return err
		}
		mine = both(mine, callers)
	}
	for _, p := range wanted {
		if !covers(mine, p) {
			return errForbidden
		}
	}
	return nil
}

// standingOf returns what the caller may do by token and store together, and whether the rules above do not bind them.
func standingOf(ctx context.Context, tx Tx, caller principal.Principal) (mine []principal.Permission, above bool, err error) {
	if isOperator(ctx) {
		return nil, true, nil
	}
	rights, err := tx.Rights(ctx, caller.UserID)
	if err != nil {
		return nil, false, err
	}
	above = caller.SessionID != "" && slices.Contains(rights.Roles, RoleAdmin)
	return both(caller.Permissions, rights.Permissions), above, nil
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

func texts(ps []principal.Permission) []string {
	out := make([]string, 0, len(ps))
	for _, p := range ps {
		out = append(out, p.String())
	}
	return out
}
