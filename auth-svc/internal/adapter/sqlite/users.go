package sqlite

import (
	"context"
	"fmt"
	"time"

	"cloakroom.dev/libs/sqlite"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

const userColumns = `
	u.id, u.name, u.email, u.email_key, u.phone, u.username, u.username_key, u.password_hash, u.status, u.permissions,
	u.epoch, u.version, u.created_at, u.updated_at, u.last_login_at, u.email_verified_at,
	(SELECT group_concat(role, ' ') FROM user_roles WHERE user_id = u.id)`

const (
	selectUser           = `SELECT ` + userColumns + ` FROM users u WHERE u.id = ?`
	selectUserByEmail    = `SELECT ` + userColumns + ` FROM users u WHERE u.email_key = ?`
	selectUserByPhone    = `SELECT ` + userColumns + ` FROM users u WHERE u.phone = ?`
	selectUserByUsername = `SELECT ` + userColumns + ` FROM users u WHERE u.username_key = ?`
)

func scanUser(row scanner) (u identity.User, err error) {
	err = row.Scan(&u.ID, &u.Name, &u.Email, (*column.Name)(&u.EmailKey), (*column.Name)(&u.Phone), &u.Username, (*column.Name)(&u.UsernameKey),
		&u.PasswordHash, &u.Status, permissions{&u.Permissions}, &u.Epoch, &u.Version,
		moment{&u.CreatedAt}, moment{&u.UpdatedAt}, moment{&u.LastLoginAt}, moment{&u.EmailVerifiedAt}, words{&u.Roles})
	return u, found("user", err)
}

func (t *transaction) User(ctx context.Context, id string) (identity.User, error) {
	return scanUser(t.tx.QueryRow(ctx, selectUser, id))
}

func (t *transaction) UserByIdentifier(ctx context.Context, i identity.Identifier) (identity.User, error) {
	query := selectUserByUsername
	switch i.Kind {
	case identity.Email:
		query = selectUserByEmail
	case identity.Phone:
		query = selectUserByPhone
	}
	return scanUser(t.tx.QueryRow(ctx, query, i.Key))
}

const insertUser = `
	INSERT INTO users (id, name, email, email_key, phone, username, username_key, password_hash, status, permissions,
		epoch, version, created_at, updated_at, last_login_at, email_verified_at, hash_kind)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func (t *transaction) InsertUser(ctx context.Context, u identity.User) error {
	_, err := t.tx.Exec(ctx, insertUser, u.ID, u.Name, u.Email, column.NameOf(u.EmailKey), column.NameOf(u.Phone), u.Username,
		column.NameOf(u.UsernameKey), u.PasswordHash, string(u.Status), permissionText(u.Permissions), u.Epoch, u.Version,
		micros(u.CreatedAt), micros(u.UpdatedAt), micros(u.LastLoginAt), micros(u.EmailVerifiedAt),
		identity.HashKind(u.PasswordHash))
	if err != nil {
		return taken("insert user", err)
	}
	return t.giveRoles(ctx, u.ID, u.Roles)
}

const updateUser = `
	UPDATE users SET name = ?, email = ?, email_key = ?, phone = ?, username = ?, username_key = ?, password_hash = ?,
		status = ?, permissions = ?, epoch = ?, updated_at = ?, last_login_at = ?, email_verified_at = ?, hash_kind = ?,
		version = version + 1
	WHERE id = ? AND version = ?`

func (t *transaction) UpdateUser(ctx context.Context, u identity.User) error {
	err := t.one(ctx, errMoved, updateUser, u.Name, u.Email, column.NameOf(u.EmailKey), column.NameOf(u.Phone), u.Username,
		column.NameOf(u.UsernameKey), u.PasswordHash, string(u.Status), permissionText(u.Permissions), u.Epoch,
		micros(u.UpdatedAt), micros(u.LastLoginAt), micros(u.EmailVerifiedAt),
		identity.HashKind(u.PasswordHash), u.ID, u.Version)
	return taken("update user", err)
}

// taken turns a collision into fault.UserExists: the identifiers are all that is unique about a person but the id.
func taken(verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case sqlite.IsUnique(err):
		return errTaken
	default:
		return fmt.Errorf("%s: %w", verb, err)
	}
}

// Roles, sessions and keys go with the user, by the tables' own references.
func (t *transaction) DeleteUser(ctx context.Context, id string) error {
	return t.one(ctx, errNotFound, `DELETE FROM users WHERE id = ?`, id)
}

const selectRights = `
	SELECT u.status, u.epoch, u.permissions, ` + roleGrants + `
	FROM users u WHERE u.id = ?`

// roleGrants is all roles of the user u: a line for each, with name, epoch and permissions.
const roleGrants = `(
		SELECT group_concat(r.name || ' ' || r.epoch || ' ' || r.permissions, char(10))
		FROM user_roles ur JOIN roles r ON r.name = ur.role WHERE ur.user_id = u.id
	)`

func (t *transaction) Rights(ctx context.Context, userID string) (r identity.Rights, err error) {
	var own string
	var roles *string
	err = t.tx.QueryRow(ctx, selectRights, userID).Scan(&r.Status, &r.Epoch, &own, &roles)
	if err != nil {
		return r, found("rights", err)
	}
	return r, joinGrants(&r, own, roles)
}

const selectLastAccess = `
	SELECT max(coalesce((SELECT max(access_until) FROM sessions WHERE user_id = ?1), 0),
		coalesce((SELECT max(access_until) FROM api_keys WHERE user_id = ?1), 0))`

func (t *transaction) TokensUntil(ctx context.Context, userID string) (until time.Time, err error) {
	err = t.tx.QueryRow(ctx, selectLastAccess, userID).Scan(moment{&until})
	return until, found("the last token's end", err)
}
