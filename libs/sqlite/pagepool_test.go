package sqlite

import (
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"modernc.org/libc"
)

func TestPagePool_PagesOfCachesHaveSlotsOfTheirSize(t *testing.T) {
	ctx := t.Context()
	db, err := Open(ctx, filepath.Join(t.TempDir(), "x.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := pages.used()
	const notes, bytes = 300, 4000
	if err := db.InTx(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(ctx, "CREATE TABLE note (body BLOB) STRICT"); err != nil {
			return err
		}
		for range notes {
			if _, err := tx.Exec(ctx, "INSERT INTO note (body) VALUES (randomblob(?))", bytes); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := pages.used() - before; got < notes {
		t.Errorf("%d pages of the cache are in slots, want %d or more: has SQLite another size for them?", got, notes)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := pages.used(); got > before {
		t.Errorf("%d slots are in use after the database was closed, and %d before it was filled", got, before)
	}
}

func TestPagePool_WithoutRoomPagesComeFromBelow(t *testing.T) {
	open(t)
	tls := libc.NewTLS()
	defer tls.Close()
	var all []uintptr
	for {
		slot := pages.take()
		if slot == 0 {
			break
		}
		all = append(all, slot)
	}
	page := pageMalloc(tls, slotSize)
	if page == 0 || pages.holds(page) {
		t.Errorf("with all slots in use a page is at %#x", page)
	}
	pageFree(tls, page)
	if len(all) == 0 || len(all) > slotsAtMost {
		t.Fatalf("there were %d slots", len(all))
	}
	for _, slot := range all {
		pages.give(slot)
	}
	if again := pageMalloc(tls, slotSize); again != all[len(all)-1] {
		t.Error("a free slot is not used again")
	} else {
		pageFree(tls, again)
	}
}

func TestPagePool_AllDatabasesShareItsMetric(t *testing.T) {
	reg := prometheus.NewRegistry()
	for _, name := range []string{"x.db", "y.db"} {
		db, err := Open(t.Context(), filepath.Join(t.TempDir(), name), Options{Registerer: reg})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
	}
	if families, err := reg.Gather(); err != nil {
		t.Error(err)
	} else if i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "cloakroom_sqlite_pooled_pages" }); i < 0 {
		t.Error("it is missing")
	} else if got := families[i].GetMetric()[0].GetGauge().GetValue(); int(got) != pages.used() || got == 0 {
		t.Errorf("it is %v where %d pages are in the pool", got, pages.used())
	}
}

func TestPagePool_WhatGrowsIsMoved(t *testing.T) {
	open(t)
	tls := libc.NewTLS()
	defer tls.Close()
	for _, from := range []int32{100, 4096, slotSize - 8, slotSize, slotSize + 1} {
		p := pageMalloc(tls, from)
		if got := pageSize(tls, p); got < from || pages.holds(p) && got != slotSize {
			t.Errorf("of %d bytes asked for there are %d", from, got)
		}
		fill(p, from)
		for _, to := range []int32{4096, slotSize, 3 * slotSize} {
			if to < from {
				continue
			}
			p = pageRealloc(tls, p, to)
			if kept := unsafe.Slice(at[byte](p), from); kept[0] != 1 || kept[from-1] != byte(from) {
				t.Errorf("%d bytes are not what they were when they became %d", from, to)
			}
		}
		pageFree(tls, p)
	}
}

func fill(p uintptr, n int32) {
	room := unsafe.Slice(at[byte](p), n)
	room[0], room[n-1] = 1, byte(n)
}

// open uses SQLite, so that the pool stands.
func open(t *testing.T) {
	t.Helper()
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
}
