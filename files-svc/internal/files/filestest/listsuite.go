package filestest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/files"
)

var allSorts = []files.Sort{
	files.SortNewest, files.SortOldest, files.SortName, files.SortNameDesc, files.SortSize, files.SortSizeDesc,
}

// shelf is a catalog with files that differ in all a list looks at.
func shelf(t *testing.T, c catalogTest) {
	t.Helper()
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		var errs []error
		for n := 1; n <= 9; n++ {
			f := sample("ann", n)
			f.Size = int64(n % 3)
			f.Fold = string(rune('a'+(n*5)%7)) + ".txt"
			f.CreatedAt = Noon.Add(time.Duration(n/2) * time.Second)
			if n%4 == 0 {
				f.ContentType = "image/png"
			}
			errs = append(errs, store(ctx, tx, f))
		}
		trashed, expired, other := sample("ann", 20), sample("ann", 21), sample("bob", 22)
		trashed.DeletedAt = Noon
		expired.ExpiresAt = Noon.Add(time.Minute)
		return errors.Join(append(errs, store(ctx, tx, trashed), store(ctx, tx, expired), store(ctx, tx, other))...)
	})
}

func idsOf(fs []files.File) []files.FileID {
	ids := []files.FileID{}
	for _, f := range fs {
		ids = append(ids, f.ID)
	}
	return ids
}

func checkLists(t *testing.T, c catalogTest) {
	shelf(t, c)
	const a1, a2, a3, a4, a5, a6, a7, a8, a9 = "ann-0001", "ann-0002", "ann-0003", "ann-0004", "ann-0005", "ann-0006", "ann-0007", "ann-0008", "ann-0009"
	for name, test := range map[string]struct {
		query files.ListQuery
		want  []files.FileID
	}{
		"oldest":     {files.ListQuery{Sort: files.SortOldest}, []files.FileID{a1, a2, a3, a4, a5, a6, a7, a8, a9}},
		"newest":     {files.ListQuery{Sort: files.SortNewest}, []files.FileID{a9, a8, a7, a6, a5, a4, a3, a2, a1}},
		"name":       {files.ListQuery{Sort: files.SortName}, []files.FileID{a7, a3, a6, a2, a9, a5, a1, a8, a4}},
		"-name":      {files.ListQuery{Sort: files.SortNameDesc}, []files.FileID{a4, a8, a1, a5, a9, a2, a6, a3, a7}},
		"size":       {files.ListQuery{Sort: files.SortSize}, []files.FileID{a3, a6, a9, a1, a4, a7, a2, a5, a8}},
		"-size":      {files.ListQuery{Sort: files.SortSizeDesc}, []files.FileID{a8, a5, a2, a7, a4, a1, a9, a6, a3}},
		"query":      {files.ListQuery{Sort: files.SortOldest, Query: "a.t"}, []files.FileID{a7}},
		"wildcards":  {files.ListQuery{Sort: files.SortOldest, Query: "%"}, []files.FileID{}},
		"type":       {files.ListQuery{Sort: files.SortOldest, ContentType: "image/png"}, []files.FileID{a4, a8}},
		"bare type":  {files.ListQuery{Sort: files.SortOldest, ContentType: "text/plain"}, []files.FileID{a1, a2, a3, a5, a6, a7, a9}},
		"type group": {files.ListQuery{Sort: files.SortOldest, ContentType: "image/*"}, []files.FileID{a4, a8}},
		"after":      {files.ListQuery{Sort: files.SortOldest, CreatedAfter: Noon.Add(3 * time.Second)}, []files.FileID{a8, a9}},
		"before":     {files.ListQuery{Sort: files.SortOldest, CreatedBefore: Noon.Add(time.Second)}, []files.FileID{a1}},
	} {
		c.read(t, func(ctx context.Context, tx files.ReadTx) error {
			now := Noon.Add(time.Hour)
			got, err := tx.Files(ctx, "ann", test.query, files.Window{Now: now, Limit: 50})
			if diff := cmp.Diff(test.want, idsOf(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			n, err2 := tx.CountFiles(ctx, "ann", test.query, now)
			if n != int64(len(test.want)) {
				t.Errorf("%s: counted %d, want %d", name, n, len(test.want))
			}
			return errors.Join(err, err2)
		})
	}
}

// checkCursors walks every order in pages, while rows come and go between them.
func checkCursors(t *testing.T, c catalogTest) {
	shelf(t, c)
	for i, sort := range allSorts {
		var seen []files.FileID
		q := files.ListQuery{Sort: sort}
		for pages := 0; ; pages++ {
			var page []files.File
			c.read(t, func(ctx context.Context, tx files.ReadTx) (err error) {
				page, err = tx.Files(ctx, "ann", q, files.Window{Now: Noon.Add(time.Hour), Limit: 2})
				return err
			})
			if len(page) == 0 {
				break
			}
			seen = append(seen, idsOf(page)...)
			last := page[len(page)-1]
			q.After = &files.Cursor{Sort: sort, Int: last.CreatedAt.UnixMicro(), Text: last.Fold, ID: last.ID}
			if sort == files.SortSize || sort == files.SortSizeDesc {
				q.After.Int = last.Size
			}
			if pages >= 4 {
				continue
			}
			c.write(t, func(ctx context.Context, tx files.Tx) error {
				f := sample("ann", 100+i*100+pages) // comes between
				f.ExpiresAt = Noon.Add(2 * time.Hour)
				return store(ctx, tx, f)
			})
		}
		slices.Sort(seen)
		for n := 1; n <= 9; n++ {
			id := sample("ann", n).ID
			if first, found := slices.BinarySearch(seen, id); !found || (first+1 < len(seen) && seen[first+1] == id) {
				t.Errorf("%s: file %s was not seen exactly once: %v", sort, id, seen)
			}
		}
	}
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		page, err := tx.Files(ctx, "bob", files.ListQuery{Sort: files.SortName}, files.Window{Now: Noon, Skip: 1, Limit: 5})
		if len(page) != 0 {
			t.Errorf("page behind the last has %v", idsOf(page))
		}
		return err
	})
}

func checkDue(t *testing.T, c catalogTest) {
	shelf(t, c)
	for name, test := range map[string]struct {
		query files.DueQuery
		want  int
	}{
		"not yet expired": {files.DueQuery{ExpiredBefore: Noon.Add(59 * time.Second), Limit: 9}, 0},
		"expired":         {files.DueQuery{ExpiredBefore: Noon.Add(time.Minute), Limit: 9}, 1},
		"not long enough": {files.DueQuery{TrashedBefore: Noon.Add(-time.Microsecond), Limit: 9}, 0},
		"trashed":         {files.DueQuery{TrashedBefore: Noon, Limit: 9}, 1},
		"owner":           {files.DueQuery{Owner: "ann", Limit: 50}, 11},
		"owner in parts":  {files.DueQuery{Owner: "ann", Limit: 4}, 4},
		"nobody":          {files.DueQuery{Owner: "eve", Limit: 4}, 0},
	} {
		c.read(t, func(ctx context.Context, tx files.ReadTx) error {
			got, err := tx.DueFiles(ctx, test.query)
			if len(got) != test.want {
				t.Errorf("%s: got %v, want %d files", name, idsOf(got), test.want)
			}
			return err
		})
	}
}
