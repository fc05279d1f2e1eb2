package postgres

import (
	"context"
	"fmt"
	"time"

	"cloakroom.dev/libs/postgres"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

const userColumns = `
	u.id, u.name, u.email, u.email_key, u.phone, u.username, u.username_key, u.password_hash, u.status, u.permissions,
	u.epoch, u.version, u.created_at, u.updated_at, u.last_login_at, u.email_verified_at,
	ARRAY(SELECT role FROM user_roles WHERE user_id = u.id ORDER BY role)`

const (
	lockUser             = `SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE`
	selectUser           = `SELECT ` + userColumns + ` FROM users u WHERE u.id = $1`
	selectUserByEmail    = `SELECT ` + userColumns + ` FROM users u WHERE u.email_key = $1`
	selectUserByPhone    = `SELECT ` + userColumns + ` FROM users u WHERE u.phone = $1`
	selectUserByUsername = `SELECT ` + userColumns + ` FROM users u WHERE u.username_key = $1`
)

func scanUser(row scanner) (u identity.User, err error) {
	var permissions []string
	err = row.Scan(&u.ID, &u.Name, &u.Email, (*column.Name)(&u.EmailKey), (*column.Name)(&u.Phone), &u.Username, (*column.Name)(&u.UsernameKey),
		&u.PasswordHash, &u.Status, &permissions, &u.Epoch, &u.Version,
		moment{&u.CreatedAt}, moment{&u.UpdatedAt}, moment{&u.LastLoginAt}, moment{&u.EmailVerifiedAt}, &u.Roles)
	if err != nil {
		return u, found("user", err)
	}
	u.Permissions, err = column.Permissions(permissions)
	return u, err
}

func (t *transaction) User(ctx context.Context, userID string) (identity.User, error) {
	return scanUser(t.underLock(ctx, lockUser, selectUser, id(userID)))
}

func (t *transaction) UserByIdentifier(ctx context.Context, i identity.Identifier) (identity.User, error) {
	query := selectUserByUsername
	switch i.Kind {
	case identity.Email:
		query = selectUserByEmail
	case identity.Phone:
		query = selectUserByPhone
	}
	return scanUser(t.row(ctx, query, i.Key))
}

// The conflict is not an error of the statement: that would end the transaction.
const insertUser = `
	INSERT INTO users (id, name, email, email_key, phone, username, username_key, password_hash, status, permissions,
		epoch, version, created_at, updated_at, last_login_at, email_verified_at, hash_kind)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING`

func (t *transaction) InsertUser(ctx context.Context, u identity.User) error {
	err := t.one(ctx, errTaken, insertUser, id(u.ID), u.Name, u.Email, column.NameOf(u.EmailKey), column.NameOf(u.Phone), u.Username,
		column.NameOf(u.UsernameKey), u.PasswordHash, string(u.Status), column.PermissionTexts(u.Permissions), u.Epoch, u.Version,
		at(u.CreatedAt), at(u.UpdatedAt), at(u.LastLoginAt), at(u.EmailVerifiedAt), identity.HashKind(u.PasswordHash))
	if err != nil {
		return fmt.Errorf("insert user: %w", err)
	}
	return t.giveRoles(ctx, u.ID, u.Roles)
}

const updateUser = `
	UPDATE users SET name = $1, email = $2, email_key = $3, phone = $4, username = $5, username_key = $6,
		password_hash = $7, status = $8, permissions = $9, epoch = $10, updated_at = $11, last_login_at = $12,
		email_verified_at = $13, hash_kind = $14, version = version + 1
	WHERE id = $15 AND version = $16`

func (t *transaction) UpdateUser(ctx context.Context, u identity.User) error {
	err := t.one(ctx, errMoved, updateUser, u.Name, u.Email, column.NameOf(u.EmailKey), column.NameOf(u.Phone), u.Username,
		column.NameOf(u.UsernameKey), u.PasswordHash, string(u.Status), column.PermissionTexts(u.Permissions), u.Epoch,
		at(u.UpdatedAt), at(u.LastLoginAt), at(u.EmailVerifiedAt), identity.HashKind(u.PasswordHash), id(u.ID), u.Version)
	if postgres.IsUnique(err) { // the identifiers are all that is unique about a person but the id
		return errTaken
	}
	return err
}

// Roles, sessions and keys go with the user, by the tables' own references.
func (t *transaction) DeleteUser(ctx context.Context, userID string) error {
	return t.one(ctx, errNotFound, `DELETE FROM users WHERE id = $1`, id(userID))
}

// roleGrants is all roles of the user u: an array for each, of name, epoch and permissions.
const roleGrants = `ARRAY(
		SELECT r.name || ' ' || r.epoch || ' ' || array_to_string(r.permissions, ' ')
		FROM user_roles ur JOIN roles r ON r.name = ur.role WHERE ur.user_id = u.id
	)`

const selectRights = `SELECT u.status, u.epoch, u.permissions, ` + roleGrants + ` FROM users u WHERE u.id = $1`

// Rights locks the person: what one does by right of an office ends before the office is taken, or after.
func (t *transaction) Rights(ctx context.Context, userID string) (r identity.Rights, err error) {
	var own, roles []string
	err = t.underLock(ctx, lockUser, selectRights, id(userID)).Scan(&r.Status, &r.Epoch, &own, &roles)
	if err != nil {
		return r, found("rights", err)
	}
	return r, joinGrants(&r, own, roles)
}

// The rows are locked first: a refresh or an exchange under way is about to write a later time there.
const (
	lockTokens = `SELECT 1 FROM (
		SELECT 1 FROM sessions WHERE user_id = $1 ORDER BY id FOR UPDATE) s`
	lockKeyTokens    = `SELECT 1 FROM (SELECT 1 FROM api_keys WHERE user_id = $1 ORDER BY id FOR UPDATE) k`
	selectLastAccess = `
	SELECT greatest((SELECT max(access_until) FROM sessions WHERE user_id = $1),
		(SELECT max(access_until) FROM api_keys WHERE user_id = $1))`
)

func (t *transaction) TokensUntil(ctx context.Context, userID string) (until time.Time, err error) {
	if t.writes {
		if _, err := t.exec(ctx, lockTokens, id(userID)); err != nil {
			return until, fmt.Errorf("lock sessions: %w", err)
		}
		if _, err := t.exec(ctx, lockKeyTokens, id(userID)); err != nil {
			return until, fmt.Errorf("lock API keys: %w", err)
		}
	}
	err = t.row(ctx, selectLastAccess, id(userID)).Scan(moment{&until})
	return until, found("the last token's end", err)
}
