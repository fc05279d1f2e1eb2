package sqlite

import (
	"context"
	"fmt"

	"cloakroom.dev/auth-svc/internal/identity"
)

const roleColumns = `name, permissions, built_in, epoch`

func scanRole(row scanner) (r identity.Role, err error) {
	return r, found("role", row.Scan(&r.Name, permissions{&r.Permissions}, &r.BuiltIn, &r.Epoch))
}

func (t *transaction) Roles(ctx context.Context, after string, limit int) ([]identity.Role, error) {
	return list(ctx, t, scanRole, `SELECT `+roleColumns+` FROM roles WHERE name > ? ORDER BY name LIMIT ?`, after, limit)
}

func (t *transaction) CountHolders(ctx context.Context, role string, limit int) (n int, err error) {
	err = t.tx.QueryRow(ctx, countFew, role, limit).Scan(&n)
	return n, found("holders of a role", err)
}

func (t *transaction) DeleteRole(ctx context.Context, role string) error {
	if _, err := t.tx.Exec(ctx, `DELETE FROM user_roles WHERE role = ?`, role); err != nil {
		return fmt.Errorf("take the role from its holders: %w", err)
	}
	return t.one(ctx, errNotFound, `DELETE FROM roles WHERE name = ?`, role)
}
