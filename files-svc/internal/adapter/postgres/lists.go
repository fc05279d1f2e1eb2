package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

// listing is a query under way: its text, and the values that stand in it. There are as many texts as sets of conditions, a
// few dozen, so that each can be known to the server; a condition that is not asked for is not there to be planned for.
type listing struct {
	text strings.Builder
	args []any
}

// where adds a condition; each ? in it is the next of values.
func (l *listing) where(condition string, values ...any) {
	for _, v := range values {
		l.args = append(l.args, v)
		condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(l.args)), 1)
	}
	l.text.WriteString(condition)
}

// matching begins a list with the conditions all lists share. Times count up from one index entry to the next, so a page reads only
// its own rows unless a filter skips some.
func matching(columns string, owner files.OwnerID, q files.ListQuery, now time.Time) *listing {
	l := &listing{}
	l.where(`SELECT ` + columns)
	l.where(` FROM files WHERE owner = ? AND deleted_at IS NULL`, string(owner))
	l.where(` AND (expires_at IS NULL OR expires_at > ?)`, now)
	if q.Query != "" {
		l.where(` AND position(?::text in fold) > 0`, q.Query)
	}
	if prefix, group := strings.CutSuffix(q.ContentType, "*"); group {
		l.where(` AND starts_with(content_type, ?)`, prefix)
	} else if q.ContentType != "" {
		l.where(` AND (content_type = ? OR starts_with(content_type, ?))`, q.ContentType, q.ContentType+";")
	}
	if !q.CreatedAfter.IsZero() {
		l.where(` AND created_at > ?`, q.CreatedAfter)
	}
	if !q.CreatedBefore.IsZero() {
		l.where(` AND created_at < ?`, q.CreatedBefore)
	}
	return l
}

// order is the column and the direction of a sort, and what is beyond a place in it.
type order struct{ column, direction, beyond string }

var orders = map[files.Sort]order{
	files.SortNewest:   {"created_at", "DESC", "<"},
	files.SortOldest:   {"created_at", "ASC", ">"},
	files.SortName:     {"fold", "ASC", ">"},
	files.SortNameDesc: {"fold", "DESC", "<"},
	files.SortSize:     {"size", "ASC", ">"},
	files.SortSizeDesc: {"size", "DESC", "<"},
}

// page is the query of a page.
func page(owner files.OwnerID, q files.ListQuery, w files.Window) *listing {
	l, by := matching(fileRow, owner, q, w.Now), orders[q.Sort]
	if q.After != nil {
		l.where(` AND (`+by.column+`, id) `+by.beyond+` (?, ?)`, place(q.After), string(q.After.ID))
	}
	l.where(` ORDER BY `+by.column+` `+by.direction+`, id `+by.direction+` LIMIT ?`, w.Limit)
	if q.After == nil && w.Skip > 0 {
		l.where(` OFFSET ?`, w.Skip)
	}
	return l
}

// place is where a cursor stands in its order's column.
func place(c *files.Cursor) any {
	switch c.Sort {
	case files.SortName, files.SortNameDesc:
		return c.Text
	case files.SortSize, files.SortSizeDesc:
		return c.Int
	default:
		return time.UnixMicro(c.Int)
	}
}

// Files implements files.FileReader.
func (t tx) Files(ctx context.Context, owner files.OwnerID, q files.ListQuery, w files.Window) ([]files.File, error) {
	l := page(owner, q, w)
	return all(ctx, t, scanFile, l.text.String(), append([]any{custom}, l.args...)...)
}

// CountFiles implements files.FileReader.
func (t tx) CountFiles(ctx context.Context, owner files.OwnerID, q files.ListQuery, now time.Time) (int64, error) {
	l := matching(`count(*)`, owner, q, now)
	return value[int64](ctx, t, l.text.String(), append([]any{custom}, l.args...)...)
}
