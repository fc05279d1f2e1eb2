package sqlite

import (
	"context"
	"fmt"
	"math"
	"strings"

	"cloakroom.dev/auth-svc/internal/identity"
)

// What both lists of people ask of each.
const userMatches = `
	(u.created_at, u.id) < (?1, ?2) AND (?3 = '' OR u.status = ?3)
	AND (?4 = '' OR instr(u.email_key, ?4) > 0 OR instr(u.phone, ?4) > 0 OR instr(u.username_key, ?4) > 0
		OR u.name LIKE ?5 ESCAPE '\')`

const (
	// selectUsersByAge walks from the newest on until it has enough: right for what many people have.
	selectUsersByAge = `SELECT ` + userColumns + ` FROM users u INDEXED BY users_by_age WHERE ` + userMatches + `
		AND (?6 = '' OR EXISTS (SELECT 1 FROM user_roles ur WHERE ur.user_id = u.id AND ur.role = ?6))
		ORDER BY u.created_at DESC, u.id DESC LIMIT ?7`
	// selectUsersByRole takes all holders and sorts them: right for a role that few have.
	selectUsersByRole = `SELECT ` + userColumns + ` FROM user_roles ur CROSS JOIN users u ON u.id = ur.user_id
		WHERE ur.role = ?6 AND ` + userMatches + ` ORDER BY u.created_at DESC, u.id DESC LIMIT ?7`
	countFew = `SELECT count(*) FROM (SELECT 1 FROM user_roles WHERE role = ? LIMIT ?)`
)

// fewHolders is how many people are sorted rather than walked through.
const fewHolders = 10_000

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func (t *transaction) FindUsers(ctx context.Context, f identity.UserFilter, after identity.Cursor, limit int) ([]identity.User, error) {
	query, at, id := selectUsersByAge, int64(math.MaxInt64), ""
	if !after.IsZero() {
		at, id = micros(after.At), after.ID
	}
	if f.Role != "" {
		n := 0
		if err := t.tx.QueryRow(ctx, countFew, f.Role, fewHolders+1).Scan(&n); err != nil {
			return nil, fmt.Errorf("count holders of a role: %w", err)
		}
		if n <= fewHolders {
			query = selectUsersByRole
		}
	}
	return list(ctx, t, scanUser, query, at, id, string(f.Status), f.Key(), "%"+likeEscapes.Replace(f.Text)+"%", f.Role, limit)
}

// orders are the ways people can be listed in. Each is a text of ours: nothing a client says becomes part of a query.
var orders = map[identity.UserOrder]string{
	{By: identity.ByCreation}:                   `u.created_at, u.id`,
	{By: identity.ByCreation, Descending: true}: `u.created_at DESC, u.id DESC`,
	{By: identity.ByChange}:                     `u.updated_at, u.id`,
	{By: identity.ByChange, Descending: true}:   `u.updated_at DESC, u.id DESC`,
	{By: identity.ByUsername}:                   `coalesce(u.username_key, ''), u.id`,
	{By: identity.ByUsername, Descending: true}: `coalesce(u.username_key, '') DESC, u.id DESC`,
}

func (t *transaction) UsersInOrder(ctx context.Context, o identity.UserOrder, skip int64, limit int) ([]identity.User, error) {
	order, ok := orders[o]
	if !ok {
		return nil, fmt.Errorf("people can't be listed by %q", o.By)
	}
	return list(ctx, t, scanUser, `SELECT `+userColumns+` FROM users u ORDER BY `+order+` LIMIT ? OFFSET ?`, limit, skip)
}

func (t *transaction) NameSession(ctx context.Context, id, deviceName string) error {
	return t.one(ctx, errNotFound, `UPDATE sessions SET device_name = ? WHERE id = ?`, deviceName, id)
}
