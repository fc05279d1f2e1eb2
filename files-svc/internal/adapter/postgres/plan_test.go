package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/pgtest"
	"cloakroom.dev/libs/postgres"
	"cloakroom.dev/libs/secret"
)

// rowsVariable names how many files the plans are looked at with besides the usual ten thousand; `make bench` says ten
// million. Then plans and times are printed.
const rowsVariable = "CLOAKROOM_BENCH_ROWS"

const fewRows = 10_000

var planned = pgtest.NewTemplate(func(ctx context.Context, dsn secret.String) error {
	d, err := postgres.Open(ctx, dsn, postgres.Options{Name: "files"})
	if err != nil {
		return err
	}
	return errors.Join(d.Migrate(ctx, Migrations()), d.Close())
})

// A page must cost the same with ten million rows as with ten thousand: it walks its order's index and sorts nothing. What it
// costs is counted in the pages of the database it touches, which no busy machine changes.
func TestPages_StayFlat(t *testing.T) {
	few := costs(t, fewRows, false)
	many := fewRows * 10
	if text := os.Getenv(rowsVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", rowsVariable, err)
		}
		many = n
	}
	for name, more := range costs(t, many, many > 10*fewRows) {
		// An index of ten million rows is two levels deeper than one of ten thousand.
		if less := few[name]; more.blocks > less.blocks+less.blocks/5+6 {
			t.Errorf("%s: %d blocks at %d rows, %d at %d", name, less.blocks, fewRows, more.blocks, many)
		} else {
			t.Logf("%-14s %4d blocks %6.2f ms at %d rows, %4d blocks %6.2f ms at %d", name, less.blocks, less.ms, fewRows, more.blocks, more.ms, many)
		}
	}
}

// cost is what one page took.
type cost struct {
	blocks int
	ms     float64 // of a repetition: the first one fills caches
}

// costs fills a database with one person's files and explains every page in it.
func costs(t *testing.T, rows int, show bool) map[string]cost {
	t.Helper()
	d, err := postgres.Open(t.Context(), planned.New(t), postgres.Options{Name: "files", StatementTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	fillFiles(t, d, rows)
	out := map[string]cost{}
	for name, l := range pages(rows) {
		explain(t, d, l)
		plan := explain(t, d, l)
		if show {
			t.Logf("%s at %d rows: %s\n%s", name, rows, l.text.String(), plan)
		}
		if !strings.Contains(plan, "Index") || strings.Contains(plan, "Sort") || strings.Contains(plan, "Seq Scan on files") {
			t.Errorf("%s at %d rows does not walk an index:\n%s", name, rows, plan)
		}
		out[name] = cost{number(blocksHit, plan), float64(number(microseconds, plan)) / 1000}
	}
	return out
}

var (
	blocksHit    = regexp.MustCompile(`Buffers: shared hit=(\d+)`)
	microseconds = regexp.MustCompile(`Execution Time: (\d+)\.(\d+) ms`)
)

// number is the first match's digits in one.
func number(r *regexp.Regexp, plan string) int {
	n, _ := strconv.Atoi(strings.Join(r.FindStringSubmatch(plan)[1:], ""))
	return n
}

// pages are the queries of lists, from the middle of the rows on, where an offset would have read half of them.
func pages(rows int) map[string]*listing {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	middle := int64(rows / 2)
	created := now.Add(-time.Duration(rows) * time.Second).UnixMicro()
	out := map[string]*listing{}
	for sort := range orders {
		c := files.Cursor{Sort: sort, ID: files.FileID(fmt.Sprintf("f%09d", middle))}
		switch sort {
		case files.SortName, files.SortNameDesc:
			c.Text = fmt.Sprintf("name %09d.txt", middle)
		case files.SortSize, files.SortSizeDesc:
			c.Int = 500
		default:
			c.Int = created + middle*1_000_000
		}
		w := files.Window{Now: now, Limit: files.DefaultLimit + 1}
		out[string(sort)] = page("big", files.ListQuery{Sort: sort, After: &c}, w)
		out["first "+string(sort)] = page("big", files.ListQuery{Sort: sort}, w)
		out["search "+string(sort)] = page("big", files.ListQuery{Sort: sort, After: &c, Query: "name", ContentType: "text/*"}, w)
	}
	feed := &listing{args: []any{"big", middle, 21}}
	feed.text.WriteString(selectOwnerEvents)
	out["changes"] = feed
	return out
}

const fillRows = `INSERT INTO files (` + fileColumns + `)
	SELECT 'f' || lpad(n::text, 9, '0'), 'big', 'Name ' || n, 'name ' || lpad(n::text, 9, '0') || '.txt', 'text/plain', n % 1000,
	decode(repeat('00', 32), 'hex'), 1, 'epoch.' || n, '{}', $2::timestamptz + n * interval '1 second', $2, $2, NULL, NULL, 1
	FROM generate_series(1, $1::bigint) n`

const fillEvents = `INSERT INTO events (` + eventColumns + `)
	SELECT n, 'file.created', 'big', 'f' || n, 1, '', $2::timestamptz FROM generate_series(1, $1::bigint) n`

// fillFiles adds rows before their indexes: the other way round takes an hour.
func fillFiles(t *testing.T, d *postgres.DB, rows int) {
	t.Helper()
	ctx := t.Context()
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).Add(-time.Duration(rows) * time.Second)
	const indexed = `SELECT indexdef FROM pg_indexes WHERE tablename IN ('files', 'events') AND indexname NOT LIKE '%_pkey'`
	var definitions []string
	run := func(query string, args ...any) {
		t.Helper()
		err := d.InTx(ctx, func(tx *postgres.Tx) error {
			_, err := tx.Exec(ctx, query, args...)
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	err := d.View(ctx, func(tx *postgres.Tx) error {
		found, err := tx.Query(ctx, indexed)
		if err == nil {
			definitions, err = pgx.CollectRows(found, pgx.RowTo[string])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(definitions)
	for _, definition := range definitions {
		run("DROP INDEX " + strings.Fields(definition)[2])
	}
	run(fillRows, rows, began)
	run(fillEvents, rows, began)
	for _, definition := range definitions {
		run(definition)
	}
	run(`ANALYZE files`)
	run(`ANALYZE events`)
}

func explain(t *testing.T, d *postgres.DB, l *listing) string {
	t.Helper()
	var plan []string
	err := d.InTx(t.Context(), func(tx *postgres.Tx) error {
		rows, err := tx.Query(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) `+l.text.String(), append([]any{custom}, l.args...)...)
		if err == nil {
			plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}
