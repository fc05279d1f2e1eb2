package sqlite

import (
	"context"
	"strings"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

// matching is the condition all lists share. Parameters: 1 owner, 2 now, 3 part of the folded name, 4 content type, 5
// beginning of the content type, 6 and 7 bounds of the creation; empty and 0 leave a condition out. Times count up from
// one index entry to the next, so a page reads only its own rows unless a filter skips some.
const matching = ` FROM files WHERE owner = ?1 AND deleted_at = 0 AND (expires_at = 0 OR expires_at > ?2)
	AND (?3 = '' OR instr(fold, ?3) > 0)
	AND (?4 = '' OR content_type = ?4 OR substr(content_type, 1, length(?4) + 1) = ?4 || ';')
	AND (?5 = '' OR substr(content_type, 1, length(?5)) = ?5)
	AND (?6 = 0 OR created_at > ?6)
	AND (?7 = 0 OR created_at < ?7)`

const countFiles = `SELECT count(*)` + matching

// listing is one order's two statements.
type listing struct{ first, after string }

// listings has every statement Files can run. They are made once, so that each is prepared once.
var listings = map[files.Sort]listing{
	files.SortNewest:   listingBy("created_at", "DESC"),
	files.SortOldest:   listingBy("created_at", "ASC"),
	files.SortName:     listingBy("fold", "ASC"),
	files.SortNameDesc: listingBy("fold", "DESC"),
	files.SortSize:     listingBy("size", "ASC"),
	files.SortSizeDesc: listingBy("size", "DESC"),
}

func listingBy(column, direction string) listing {
	beyond := map[string]string{"ASC": ">", "DESC": "<"}[direction]
	order := ` ORDER BY ` + column + ` ` + direction + `, id ` + direction
	return listing{
		first: `SELECT ` + fileRow + matching + order + ` LIMIT ?8 OFFSET ?9`,
		after: `SELECT ` + fileRow + matching + ` AND (` + column + `, id) ` + beyond + ` (?9, ?10)` + order + ` LIMIT ?8`,
	}
}

func matchArgs(owner files.OwnerID, q files.ListQuery, now time.Time) []any {
	exact, begin := q.ContentType, ""
	if prefix, all := strings.CutSuffix(exact, "*"); all {
		exact, begin = "", prefix
	}
	before := micros(q.CreatedBefore)
	if before == 0 && !q.CreatedBefore.IsZero() {
		before = -1 // 1970 begins at 0, which stands for no bound
	}
	return []any{string(owner), micros(now), q.Query, exact, begin, micros(q.CreatedAfter), before}
}

// Files implements files.FileReader.
func (t tx) Files(ctx context.Context, owner files.OwnerID, q files.ListQuery, w files.Window) ([]files.File, error) {
	args := append(matchArgs(owner, q, w.Now), w.Limit)
	query := listings[q.Sort].first
	if q.After == nil {
		args = append(args, w.Skip)
	} else {
		query = listings[q.Sort].after
		place := any(q.After.Int)
		if q.Sort == files.SortName || q.Sort == files.SortNameDesc {
			place = q.After.Text
		}
		args = append(args, place, string(q.After.ID))
	}
	rows, err := t.Query(ctx, query, args...)
	return all(rows, err, scanFile)
}

// CountFiles implements files.FileReader.
func (t tx) CountFiles(ctx context.Context, owner files.OwnerID, q files.ListQuery, now time.Time) (n int64, err error) {
	err = t.QueryRow(ctx, countFiles, matchArgs(owner, q, now)...).Scan(&n)
	return n, err
}
