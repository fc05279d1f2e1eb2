package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

const roleColumns = `name, permissions, built_in, epoch`

func scanRole(row scanner) (r identity.Role, err error) {
	var permissions []string
	if err := row.Scan(&r.Name, &permissions, &r.BuiltIn, &r.Epoch); err != nil {
		return r, found("role", err)
	}
	r.Permissions, err = column.Permissions(permissions)
	return r, err
}

func (t *transaction) Role(ctx context.Context, role string) (identity.Role, error) {
	return scanRole(t.row(ctx, t.locking(`SELECT `+roleColumns+` FROM roles WHERE name = $1`, `FOR NO KEY UPDATE`), role))
}

const putRole = `
	INSERT INTO roles (name, permissions, built_in, epoch) VALUES ($1, $2, $3, $4)
	ON CONFLICT (name) DO UPDATE
	SET permissions = excluded.permissions, built_in = excluded.built_in, epoch = excluded.epoch`

func (t *transaction) PutRole(ctx context.Context, r identity.Role) error {
	if _, err := t.exec(ctx, putRole, r.Name, column.PermissionTexts(r.Permissions), r.BuiltIn, r.Epoch); err != nil {
		return fmt.Errorf("put role: %w", err)
	}
	return nil
}

func (t *transaction) SetRoles(ctx context.Context, userID string, roles []string) error {
	if err := t.one(ctx, errNotFound, lockUser, id(userID)); err != nil { // is there such a user?
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM user_roles WHERE user_id = $1`, id(userID)); err != nil {
		return fmt.Errorf("take roles: %w", err)
	}
	return t.giveRoles(ctx, userID, roles)
}

// giveRoles holds the roles until the commit, by the reference: nobody deletes one meanwhile.
func (t *transaction) giveRoles(ctx context.Context, userID string, roles []string) error {
	if len(roles) == 0 {
		return nil
	}
	n, err := t.exec(ctx, `INSERT INTO user_roles (user_id, role) SELECT $1, name FROM roles WHERE name = ANY($2)`, id(userID), roles)
	if err != nil {
		return fmt.Errorf("give roles: %w", err)
	}
	if int(n) < len(roles) {
		return errNotFound
	}
	return nil
}

const countActive = `
	SELECT count(*) FROM user_roles ur JOIN users u ON u.id = ur.user_id WHERE ur.role = $1 AND u.status = 'active'`

func (t *transaction) CountActive(ctx context.Context, role string) (n int, err error) {
	err = t.row(ctx, countActive, role).Scan(&n)
	return n, found("holders of a role", err)
}

func (t *transaction) Roles(ctx context.Context, after string, limit int) ([]identity.Role, error) {
	return list(ctx, t, scanRole, `SELECT `+roleColumns+` FROM roles WHERE name > $1 ORDER BY name LIMIT $2`, after, limit)
}

func (t *transaction) CountHolders(ctx context.Context, role string, limit int) (n int, err error) {
	err = t.row(ctx, countFew, role, limit).Scan(&n)
	return n, found("holders of a role", err)
}

func (t *transaction) DeleteRole(ctx context.Context, role string) error {
	if _, err := t.Role(ctx, role); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM user_roles WHERE role = $1`, role); err != nil {
		return fmt.Errorf("take the role from its holders: %w", err)
	}
	return t.one(ctx, errNotFound, `DELETE FROM roles WHERE name = $1`, role)
}

// joinGrants puts permissions and epochs of roles and person together. Each role is its name, its epoch, its permissions.
func joinGrants(r *identity.Rights, own, roles []string) (err error) {
	texts := own
	for _, role := range roles {
		words := strings.Fields(role)
		epoch, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return fmt.Errorf("read the epoch of role %s: %w", words[0], err)
		}
		r.Roles, r.Epoch = append(r.Roles, words[0]), max(r.Epoch, epoch)
		texts = append(texts, words[2:]...)
	}
	slices.Sort(r.Roles)
	r.Permissions, err = column.Permissions(texts)
	return err
}
