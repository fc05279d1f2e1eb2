package postgres

import (
	"context"
	"fmt"
	"strings"

	"cloakroom.dev/auth-svc/internal/identity"
)

const countFew = `SELECT count(*) FROM (SELECT 1 FROM user_roles WHERE role = $1 LIMIT $2) few`

// fewHolders is how many people are sorted rather than walked through.
const fewHolders = 10_000

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// FindUsers walks from the newest on until it has enough: right for what many people have. The holders of a role that few
// have are all taken and sorted.
func (t *transaction) FindUsers(ctx context.Context, f identity.UserFilter, after identity.Cursor, limit int) ([]identity.User, error) {
	var q parts
	from := `users u`
	if f.Role != "" {
		n := 0
		if err := t.row(ctx, countFew, f.Role, fewHolders+1).Scan(&n); err != nil {
			return nil, fmt.Errorf("count holders of a role: %w", err)
		}
		if n <= fewHolders {
			from = `(SELECT h.* FROM user_roles ur JOIN users h ON h.id = ur.user_id WHERE ur.role = ` + q.arg(f.Role) + ` OFFSET 0) u`
		} else {
			q.add(true, `EXISTS (SELECT 1 FROM user_roles ur WHERE ur.user_id = u.id AND ur.role = ?)`, f.Role)
		}
	}
	q.add(true, `true`)
	q.add(!after.IsZero(), `(u.created_at, u.id) < (?, ?)`, at(after.At), id(after.ID))
	q.add(f.Status != "", `u.status = ?`, string(f.Status))
	key := f.Key()
	q.add(f.Text != "", `(strpos(u.email_key, ?) > 0 OR strpos(u.phone, ?) > 0 OR strpos(u.username_key, ?) > 0 OR u.name COLLATE "C" ILIKE ?)`,
		key, key, key, "%"+likeEscapes.Replace(f.Text)+"%")
	where := q.where()
	return list(ctx, t, scanUser, `SELECT `+userColumns+` FROM `+from+` WHERE `+where+`
		ORDER BY u.created_at DESC, u.id DESC LIMIT `+q.arg(limit), q.args...)
}

// orders are the ways people can be listed in. Each is a text of ours: nothing a client says becomes part of a query.
var orders = map[identity.UserOrder]string{
	{By: identity.ByCreation}:                   `u.created_at, u.id`,
	{By: identity.ByCreation, Descending: true}: `u.created_at DESC, u.id DESC`,
	{By: identity.ByChange}:                     `u.updated_at, u.id`,
	{By: identity.ByChange, Descending: true}:   `u.updated_at DESC, u.id DESC`,
	{By: identity.ByUsername}:                   `coalesce(u.username_key, '') COLLATE "C", u.id`,
	{By: identity.ByUsername, Descending: true}: `coalesce(u.username_key, '') COLLATE "C" DESC, u.id DESC`,
}

// UsersInOrder sorts no more than it answers with, but reads whom it skips.
func (t *transaction) UsersInOrder(ctx context.Context, o identity.UserOrder, skip int64, limit int) ([]identity.User, error) {
	order, ok := orders[o]
	if !ok {
		return nil, fmt.Errorf("people can't be listed by %q", o.By)
	}
	return list(ctx, t, scanUser, `SELECT `+userColumns+` FROM users u ORDER BY `+order+` LIMIT $1 OFFSET $2`, limit, skip)
}
