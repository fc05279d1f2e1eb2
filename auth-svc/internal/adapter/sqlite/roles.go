package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

func (t *transaction) Role(ctx context.Context, role string) (identity.Role, error) {
	return scanRole(t.tx.QueryRow(ctx, `SELECT `+roleColumns+` FROM roles WHERE name = ?`, role))
}

const putRole = `
	INSERT INTO roles (name, permissions, built_in, epoch) VALUES (?, ?, ?, ?)
	ON CONFLICT (name) DO UPDATE
	SET permissions = excluded.permissions, built_in = excluded.built_in, epoch = excluded.epoch`

func (t *transaction) PutRole(ctx context.Context, r identity.Role) error {
	if _, err := t.tx.Exec(ctx, putRole, r.Name, permissionText(r.Permissions), r.BuiltIn, r.Epoch); err != nil {
		return fmt.Errorf("put role: %w", err)
	}
	return nil
}

func (t *transaction) SetRoles(ctx context.Context, userID string, roles []string) error {
	err := t.one(ctx, errNotFound, `UPDATE users SET id = id WHERE id = ?`, userID) // is there such a user?
	if err != nil {
		return err
	}
	if _, err := t.tx.Exec(ctx, `DELETE FROM user_roles WHERE user_id = ?`, userID); err != nil {
		return fmt.Errorf("take roles: %w", err)
	}
	return t.giveRoles(ctx, userID, roles)
}

func (t *transaction) giveRoles(ctx context.Context, userID string, roles []string) error {
	for _, role := range roles {
		_, err := t.Role(ctx, role)
		if errors.Is(err, fault.Of(fault.NotFound)) {
			return errNotFound
		}
		if err == nil {
			_, err = t.tx.Exec(ctx, `INSERT INTO user_roles (user_id, role) VALUES (?, ?)`, userID, role)
		}
		if err != nil {
			return fmt.Errorf("give role: %w", err)
		}
	}
	return nil
}

const countActive = `
	SELECT count(*) FROM user_roles ur JOIN users u ON u.id = ur.user_id WHERE ur.role = ? AND u.status = 'active'`

func (t *transaction) CountActive(ctx context.Context, role string) (n int, err error) {
	err = t.tx.QueryRow(ctx, countActive, role).Scan(&n)
	return n, found("holders of a role", err)
}

// joinGrants puts permissions and epochs of roles and person together. roles is a line for each role: its name, its
// epoch, its permissions.
func joinGrants(r *identity.Rights, own string, roles *string) (err error) {
	texts := strings.Fields(own)
	if roles != nil {
		for line := range strings.SplitSeq(*roles, "\n") {
			words := strings.Fields(line)
			epoch, err := strconv.ParseInt(words[1], 10, 64)
			if err != nil {
				return fmt.Errorf("read the epoch of role %s: %w", words[0], err)
			}
			r.Roles, r.Epoch = append(r.Roles, words[0]), max(r.Epoch, epoch)
			texts = append(texts, words[2:]...)
		}
	}
	slices.Sort(r.Roles)
	r.Permissions, err = column.Permissions(texts)
	return err
}
