package sqlite

import (
	"database/sql"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/sqlite"
)

// A list page must cost the same with ten million rows as with ten: it walks its order's index and sorts nothing. The
// same holds for what the reaper asks once a minute.
func TestPlans(t *testing.T) {
	db := openForPlans(t)
	want := map[string]string{
		selectFileNamed: "files_by_name", selectExpired: "files_expiring", selectTrashed: "files_trashed",
		selectLiveBlobs: "blobs_to_verify", selectFlawStats: "blobs_flawed",
		selectBlobsIn: "blobs_dying", selectPendingBlobs: "blobs_pending", selectEpochHasBlobs: "PRIMARY KEY", selectKnownBlobs: "PRIMARY KEY",
		selectVersions: "PRIMARY KEY", selectVersionOf: "versions_by_blob", selectEvents: "PRIMARY KEY", selectOwned: "files_in_trash", selectTrash: "files_in_trash",
		selectLinkByHash: "links", selectLinks: "links_of_file", trimLinks: "links_expiring", selectOwnerEvents: "events_of_owner",
		selectFresh: "webhook_deliveries_due", selectDue: "webhook_deliveries_due", selectPending: "PRIMARY KEY", selectParked: "webhook_deliveries_parked",
		selectBacklog: "webhook_deliveries_due", selectGivenUp: "webhook_deliveries_parked", trimParked: "webhook_deliveries_parked",
		selectImported: "PRIMARY KEY", forgetImported: "imported_files_of_owner",
		selectReceipt: "PRIMARY KEY", keepReceipts: "receipts_of_owner", trimReceipts: "receipts_by_age",
	}
	for sort, index := range map[files.Sort]string{
		files.SortNewest: "files_by_creation", files.SortOldest: "files_by_creation", files.SortName: "files_by_name",
		files.SortNameDesc: "files_by_name", files.SortSize: "files_by_size", files.SortSizeDesc: "files_by_size",
	} {
		want[listings[sort].first], want[listings[sort].after] = index, index
	}
	for query, index := range want {
		plan := explain(t, db, query)
		if !strings.Contains(plan, index) || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "SCAN files\n") {
			t.Errorf("want an index of %s for\n%s\ngot\n%s", index, query, plan)
		}
	}
}

func openForPlans(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "files.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := New(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

// someArgs are values for a statement's parameters.
func someArgs(query string) []any {
	args := make([]any, strings.Count(query, "?")) // of unnumbered parameters
	for n := range 11 {
		if strings.Contains(query, "?"+strconv.Itoa(n)) {
			args = make([]any, n) // the last one found counts
		}
	}
	for i := range args {
		args[i] = "x"
	}
	return args
}

func explain(t *testing.T, db *sqlite.DB, query string) string {
	t.Helper()
	args := someArgs(query)
	var plan strings.Builder
	err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		rows, err := tx.Query(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
		lines, err := all(rows, err, func(row scanner) (detail string, err error) {
			var skip sql.NullInt64
			err = row.Scan(&skip, &skip, &skip, &detail)
			return detail, err
		})
		plan.WriteString(strings.Join(lines, "\n") + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// What runs beside the rows of a group that are not written yet must not read or write their tables.
func TestBeside_TouchesNoTableOfRows(t *testing.T) {
	db := openForPlans(t)
	for _, query := range []string{selectOwner, saveOwner, selectEpoch} {
		for _, table := range []string{"blobs", "files", "versions", "events"} {
			if slices.Contains(tablesOf(t, db, query), table) {
				t.Errorf("%s\ntouches %s", query, table)
			}
		}
	}
	if got := tablesOf(t, db, deleteBlob); !slices.Equal(got, []string{"blobs", "versions"}) {
		t.Fatalf("tables are not known from a statement: %v", got)
	}
}

// tablesOf is which tables a statement opens, by themselves or by an index of theirs.
func tablesOf(t *testing.T, db *sqlite.DB, query string) []string {
	t.Helper()
	opened := map[string]bool{}
	err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		rows, err := tx.Query(t.Context(), "SELECT rootpage, tbl_name FROM sqlite_schema")
		table := map[int64]string{}
		_, err = all(rows, err, func(row scanner) (root int64, err error) {
			var name string
			err = row.Scan(&root, &name)
			table[root] = name
			return root, err
		})
		if err != nil {
			return err
		}
		rows, err = tx.Query(t.Context(), "EXPLAIN "+query, someArgs(query)...)
		_, err = all(rows, err, func(row scanner) (op string, err error) {
			var root int64
			var skip any
			err = row.Scan(&skip, &op, &skip, &root, &skip, &skip, &skip, &skip)
			if (op == "OpenRead" || op == "OpenWrite") && table[root] != "" {
				opened[table[root]] = true
			}
			return op, err
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(opened))
}
