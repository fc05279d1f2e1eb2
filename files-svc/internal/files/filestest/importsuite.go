package filestest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// checkImportRows: what has come in is found by source and id, stands once, and is forgotten by owner.
func checkImportRows(t *testing.T, c catalogTest) {
	row := func(source, id string, owner files.OwnerID) files.Imported {
		return files.Imported{Source: source, ForeignID: id, Owner: owner, File: files.FileID(source + id), At: Noon}
	}
	all := []files.Imported{row("shop", "1", "ann"), row("wiki", "1", "bob"), row("shop", "2", "ann"), row("shop", "3", "ann")}
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		var errs []error
		for _, i := range all {
			errs = append(errs, tx.InsertImported(ctx, i))
		}
		return errors.Join(errs...)
	})
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.InsertImported(ctx, row("shop", "1", "bob")) })
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		for _, want := range all {
			got, err := tx.Imported(ctx, want.Source, want.ForeignID)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v, imported (-want +got):\n%s", err, diff)
			}
		}
		return nil
	})
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		first, err := tx.ForgetImported(ctx, "ann", 2)
		second, err2 := tx.ForgetImported(ctx, "ann", 2)
		none, err3 := tx.ForgetImported(ctx, "ann", 2)
		if first != 2 || second != 1 || none != 0 {
			t.Errorf("forgot %d, %d, %d", first, second, none)
		}
		_, err4 := tx.Imported(ctx, "wiki", "1")
		return errors.Join(err, err2, err3, err4)
	})
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error {
		_, err := tx.Imported(ctx, "shop", "1")
		return err
	})
}

var fromShop = files.Foreign{Source: "shop", ID: "7", CreatedAt: Noon.Add(-1000 * time.Hour)}

func (b *bench) bring(t *testing.T, owner files.OwnerID, from files.Foreign, content string) (files.File, error) {
	t.Helper()
	return b.Import(As(t.Context(), owner), owner, from, files.NewFile{Name: "brought", Size: int64(len(content))}, strings.NewReader(content))
}

// checkImport: a file of another system comes in once, with its own time, and does not come back when it is deleted.
func checkImport(t *testing.T, b *bench) {
	f, err := b.bring(t, ann, fromShop, "content")
	if err != nil {
		t.Fatal(err)
	}
	if !f.CreatedAt.Equal(fromShop.CreatedAt) || !f.ContentAt.Equal(fromShop.CreatedAt) || !f.UpdatedAt.After(f.CreatedAt) || b.read(t, ann, f.ID) != "content" {
		t.Errorf("brought %+v", f)
	}
	known, err := b.Imported(As(t.Context(), ann), ann, fromShop)
	if err != nil || known.File != f.ID || known.Owner != ann {
		t.Errorf("known as %+v, %v", known, err)
	}
	again := func() {
		t.Helper()
		_, err := b.bring(t, ann, fromShop, "content")
		wantKind(t, err, fault.Conflict)
		wantKind(t, b.CheckImport(As(t.Context(), ann), ann, fromShop, files.NewFile{Name: "x"}), fault.Conflict)
		_, err = b.bring(t, bob, fromShop, "content")
		wantKind(t, err, fault.Invalid)
		_, err = b.Imported(As(t.Context(), bob), bob, fromShop)
		wantKind(t, err, fault.Invalid)
	}
	again()
	if err := b.Delete(As(t.Context(), ann), ann, f.ID, true); err != nil {
		t.Fatal(err)
	}
	again()
	if err := b.EraseOwner(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	_, err = b.bring(t, ann, fromShop, "content")
	wantKind(t, err, fault.Forbidden)
	if _, err = b.bring(t, bob, fromShop, "content"); err != nil {
		t.Errorf("whose owner is erased can't come to another: %v", err)
	}
	b.audit(t)
}

// checkImportRefusals: an import is held to every rule of an upload, and what was refused can come later.
func checkImportRefusals(t *testing.T, b *bench) {
	_, err := b.Import(As(t.Context(), ann), bob, fromShop, files.NewFile{Name: "x"}, strings.NewReader(""))
	wantKind(t, err, fault.NotFound)
	for _, bad := range []files.Foreign{
		{ID: "1"}, {Source: "shop"}, {Source: strings.Repeat("s", 33), ID: "1"}, {Source: "shop", ID: "a\x00"},
		{Source: "shop", ID: strings.Repeat("1", 1025)}, {Source: "shop", ID: "1", CreatedAt: Noon.Add(time.Hour * 1e5)},
		{Source: "shop", ID: "1", CreatedAt: time.Unix(-1, 0)},
	} {
		_, err := b.bring(t, ann, bad, "x")
		wantKind(t, err, fault.Invalid)
	}
	b.policy.Store(&files.Policy{QuotaBytes: 3})
	_, err = b.bring(t, ann, fromShop, "content")
	wantKind(t, err, fault.QuotaExceeded)
	b.policy.Store(&files.Policy{})
	if _, err = b.bring(t, ann, fromShop, "content"); err != nil {
		t.Error(err)
	}
	b.audit(t)
}

// checkImportRace: of many processes that bring the same file one makes it.
func checkImportRace(t *testing.T, b *bench) {
	var group sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for n := range 8 {
		process := b.process(t, b.stores, nil)
		group.Go(func() {
			_, err := process.Import(As(t.Context(), ann), ann, fromShop, files.NewFile{Name: fmt.Sprint(n), Size: 1}, strings.NewReader("x"))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !errors.Is(err, fault.Of(fault.Conflict)) {
				t.Error(err)
			}
		})
	}
	if group.Wait(); made != 1 {
		t.Errorf("%d files were made", made)
	}
	if got := b.usage(t); got.Files != 1 || got.Bytes != 1 {
		t.Errorf("usage is %+v", got)
	}
	b.audit(t)
}
