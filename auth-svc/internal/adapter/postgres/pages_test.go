package postgres_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/auth-svc/internal/identity"
)

const makePeople = `
	INSERT INTO auth.users (id, name, email, username, username_key, password_hash, hash_kind, status, permissions, epoch, version, created_at, updated_at)
	SELECT gen_random_uuid(), 'Person ' || n, '', 'p' || n, 'p' || n, '', '', 'active', '{}', 0, 1,
		'2020-01-01'::timestamptz + n * interval '1 second', now()
	FROM generate_series($1::bigint, $2::bigint) n`

// TestPages_AreFlat shows the plan of a page in the middle of all people and times it, among ten thousand and then among
// PAGES_ROWS, for instance 10000000, which takes minutes and gigabytes: make bench-pages. At most a fifth may be between them.
func TestPages_AreFlat(t *testing.T) {
	many, _ := strconv.Atoi(os.Getenv("PAGES_ROWS"))
	few := 10_000
	if many == 0 {
		few, many = 1_000, 10_000 // only that it works
	}
	dsn, ctx := template.New(t), t.Context()
	store := open(t, dsn, nil)
	conn, err := pgx.Connect(ctx, dsn.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	took, made := map[int]time.Duration{}, 0
	for _, rows := range []int{few, many} {
		if _, err := conn.Exec(ctx, makePeople, made+1, rows); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(ctx, `VACUUM (ANALYZE, PARALLEL 0) auth.users`); err != nil {
			t.Fatal(err)
		}
		made = rows
		middle := identity.Cursor{At: time.Date(2020, 1, 1, 0, 0, rows/2, 0, time.UTC), ID: "ffffffff-ffff-ffff-ffff-ffffffffffff"}
		plan := explain(ctx, t, conn, middle)
		if !strings.Contains(plan, "users_by_age") || strings.Contains(plan, "Sort") {
			t.Errorf("a page of %d does not walk the index:\n%s", rows, plan)
		}
		took[rows] = pageTime(t, store, middle)
		t.Logf("%d people, a page of 50 in the middle: %v\n%s", rows, took[rows], plan)
	}
	if os.Getenv("PAGES_ROWS") != "" && float64(took[many]) > 1.2*float64(took[few]) {
		t.Errorf("a page takes %v among %d and %v among %d", took[few], few, took[many], many)
	}
}

func explain(ctx context.Context, t *testing.T, conn *pgx.Conn, c identity.Cursor) string {
	t.Helper()
	rows, err := conn.Query(ctx, fmt.Sprintf(`EXPLAIN (ANALYZE, BUFFERS) SELECT u.*, ARRAY(SELECT role FROM auth.user_roles WHERE user_id = u.id)
		FROM auth.users u WHERE true AND (u.created_at, u.id) < ('%s', '%s') ORDER BY u.created_at DESC, u.id DESC LIMIT 51`,
		c.At.Format(time.RFC3339), c.ID))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// pageTime is the median of many pages.
func pageTime(t *testing.T, store identity.Store, c identity.Cursor) time.Duration {
	t.Helper()
	times := make([]time.Duration, 201)
	for i := range times {
		began := time.Now()
		if err := store.View(t.Context(), func(tx identity.Tx) error {
			got, err := tx.FindUsers(t.Context(), identity.UserFilter{}, c, 51)
			if err == nil && len(got) != 51 {
				err = fmt.Errorf("a page of %d", len(got))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return times[len(times)/2]
}
