package filestest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

func (b *bench) replace(t *testing.T, id files.FileID, content string) files.File {
	t.Helper()
	f, err := b.Replace(As(t.Context(), ann), ann, id, files.NewContent{Size: int64(len(content))}, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (b *bench) readVersion(t *testing.T, id files.FileID, number int64) string {
	t.Helper()
	ctx := As(t.Context(), ann)
	c, err := b.OpenVersion(ctx, ann, id, number)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	content, err := io.ReadAll(c.Verified(ctx))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func (b *bench) versionNumbers(t *testing.T, id files.FileID, before int64, limit int) (numbers []int64, more bool) {
	t.Helper()
	page, more, err := b.Versions(As(t.Context(), ann), ann, id, before, limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range page {
		numbers = append(numbers, v.Number)
	}
	return numbers, more
}

// checkVersionRestore: an old content comes back as a new version without a copy, and counts once however often.
func checkVersionRestore(t *testing.T, b *bench) {
	b.policy.Store(&files.Policy{KeepVersions: 2, QuotaBytes: 11})
	f := b.upload(t, ann, "f", "one")
	b.replace(t, f.ID, "two")
	newest := b.replace(t, f.ID, "three")
	keys := len(Keys(t, b.stores.Blobs))
	ctx := As(t.Context(), ann)

	if got, more := b.versionNumbers(t, f.ID, 0, 2); len(got) != 2 || got[0] != 3 || got[1] != 2 || !more {
		t.Errorf("first page is %v, %v", got, more)
	}
	if got, more := b.versionNumbers(t, f.ID, 2, 2); len(got) != 1 || got[0] != 1 || more {
		t.Errorf("last page is %v, %v", got, more)
	}
	_, err := b.RestoreVersion(ctx, ann, f.ID, 1, []string{f.ETag()})
	wantKind(t, err, fault.PreconditionFailed)
	got, err := b.RestoreVersion(ctx, ann, f.ID, 1, []string{newest.ETag()})
	if err != nil || got.Version != 4 || got.SHA256 != f.SHA256 || got.ETag() == f.ETag() || !got.ContentAt.After(newest.ContentAt) {
		t.Fatalf("restored %+v, %v", got, err)
	}
	if b.read(t, ann, f.ID) != "one" || b.readVersion(t, f.ID, 3) != "three" || len(Keys(t, b.stores.Blobs)) != keys {
		t.Error("the content is not the old one, or was copied")
	}
	if u := b.usage(t); u.Bytes != 11 {
		t.Errorf("%d bytes count, want 11", u.Bytes)
	}
	if same, err := b.RestoreVersion(ctx, ann, f.ID, 4, nil); err != nil || same.Revision != got.Revision {
		t.Errorf("restoring the newest: %+v, %v", same, err)
	}
	_, err = b.RestoreVersion(ctx, ann, f.ID, 1, nil) // kept no more under its number
	wantKind(t, err, fault.NotFound)
	b.audit(t)

	again, err := b.RestoreVersion(ctx, ann, f.ID, 2, nil)
	if err != nil || again.Version != 5 {
		t.Fatalf("restored %+v, %v", again, err)
	}
	b.policy.Store(&files.Policy{})
	if _, err := b.RestoreVersion(ctx, ann, f.ID, 4, nil); err != nil {
		t.Fatal(err)
	}
	if u := b.usage(t); u.Bytes != 3 || b.read(t, ann, f.ID) != "one" {
		t.Errorf("usage is %+v", u)
	}
	b.audit(t)
	if keys := Keys(t, b.stores.Blobs); len(keys) != 1 {
		t.Errorf("the store has %v", keys)
	}
	if err := b.Delete(ctx, ann, f.ID, true); err != nil {
		t.Fatal(err)
	}
	b.audit(t)
}

// checkVersionsForeign: another's versions are not there, by whatever door.
func checkVersionsForeign(t *testing.T, b *bench) {
	b.policy.Store(&files.Policy{KeepVersions: 2})
	f := b.upload(t, ann, "f", "one")
	b.replace(t, f.ID, "two")
	ctx := As(t.Context(), bob)
	for _, as := range []files.OwnerID{ann, bob} {
		_, _, err1 := b.Versions(ctx, as, f.ID, 0, 0)
		_, err2 := b.OpenVersion(ctx, as, f.ID, 1)
		_, err3 := b.RestoreVersion(ctx, as, f.ID, 1, nil)
		_, err4 := b.OlderVersions(ctx, as, f.ID)
		_, err5 := b.OpenListed(ctx, as, f)
		for _, err := range []error{err1, err2, err3, err4, err5} {
			wantKind(t, err, fault.NotFound)
		}
	}
	for _, number := range []int64{-1, 0, 3, 1 << 62} {
		_, err := b.OpenVersion(As(t.Context(), ann), ann, f.ID, number)
		wantKind(t, err, fault.NotFound)
	}
	_, _, err := b.Versions(As(t.Context(), ann), ann, f.ID, 0, 101)
	wantKind(t, err, fault.Invalid)
}

// checkTrashLife: what is in the trash is listed, counts, comes back whole or goes for good, and is only its owner's.
func checkTrashLife(t *testing.T, b *bench) {
	b.policy.Store(&files.Policy{KeepVersions: 1, TrashRetention: time.Hour})
	ctx, eve := As(t.Context(), ann), As(t.Context(), bob)
	var all []files.File
	for _, name := range []string{"a", "b", "c"} {
		f := b.upload(t, ann, name, name)
		all = append(all, b.replace(t, f.ID, name+name))
	}
	_, err := b.RestoreTrashed(ctx, ann, all[0].ID)
	wantKind(t, err, fault.NotFound) // it is not in the trash
	wantKind(t, b.DeleteTrashed(ctx, ann, all[0].ID), fault.NotFound)
	for _, f := range all {
		if err := b.Delete(ctx, ann, f.ID, false); err != nil {
			t.Fatal(err)
		}
	}
	if older, err := b.OlderVersions(ctx, ann, all[0].ID); err != nil || len(older) != 1 || older[0].Number != 1 {
		t.Errorf("older versions: %+v, %v", older, err)
	}
	page, err := b.Trash(ctx, ann, nil, 2)
	if err != nil || len(page.Files) != 2 || page.Files[0].ID != all[2].ID || page.Next == nil {
		t.Fatalf("first page: %+v, %v", page, err)
	}
	if due := page.Files[0].PurgeAt; !due.Equal(page.Files[0].DeletedAt.Add(time.Hour)) {
		t.Errorf("purged at %v", due)
	}
	last, err := b.Trash(ctx, ann, page.Next, 2)
	if err != nil || len(last.Files) != 1 || last.Files[0].ID != all[0].ID || last.Next != nil {
		t.Errorf("last page: %+v, %v", last, err)
	}
	for _, as := range []files.OwnerID{ann, bob} {
		_, err1 := b.RestoreTrashed(eve, as, all[0].ID)
		for _, err := range []error{err1, b.DeleteTrashed(eve, as, all[0].ID)} {
			wantKind(t, err, fault.NotFound)
		}
	}
	if theirs, err := b.Trash(eve, bob, nil, 0); err != nil || len(theirs.Files) != 0 {
		t.Errorf("bob's trash: %+v, %v", theirs, err)
	}
	back, err := b.RestoreTrashed(ctx, ann, all[0].ID)
	if err != nil || back.ETag() != all[0].ETag() || b.read(t, ann, back.ID) != "aa" || b.readVersion(t, back.ID, 1) != "a" {
		t.Errorf("restored %+v, %v", back, err)
	}
	if err := b.DeleteTrashed(ctx, ann, all[1].ID); err != nil {
		t.Error(err)
	}
	if u := b.usage(t); u.Files != 1 || u.Bytes != 6 {
		t.Errorf("usage is %+v", u)
	}
	b.audit(t) // turns the clock past the retention
	if left, err := b.Trash(ctx, ann, nil, 0); err != nil || len(left.Files) != 0 {
		t.Errorf("the retention left %+v, %v", left, err)
	}
	b.audit(t)
}

// checkTrashExpired: an expired file can be brought back before and after the reaper has seen it, and stays.
func checkTrashExpired(t *testing.T, b *bench) {
	ctx := As(t.Context(), ann)
	soon := b.clock.Now().Add(time.Minute)
	for _, reaped := range []bool{false, true} {
		f := b.upload(t, ann, "f", "x")
		if _, err := b.Update(ctx, ann, f.ID, files.FileChange{ExpiresAt: &soon}); err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(time.Hour)
		if reaped {
			if err := b.Reap(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		back, err := b.RestoreTrashed(ctx, ann, f.ID)
		if err != nil || !back.ExpiresAt.IsZero() {
			t.Fatalf("restored %+v, %v", back, err)
		}
		b.audit(t)
		if b.read(t, ann, f.ID) != "x" {
			t.Error("it is gone again")
		}
		soon = b.clock.Now().Add(time.Minute)
	}
}

// checkTrashList holds a catalog to its order, with equal moments.
func checkTrashList(t *testing.T, c catalogTest) {
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		var errs []error
		for n := 1; n <= 6; n++ {
			f := sample("ann", n)
			if n < 6 {
				f.DeletedAt = Noon.Add(time.Duration(n/2) * time.Second)
			}
			errs = append(errs, store(ctx, tx, f))
		}
		other := sample("bob", 7)
		other.DeletedAt = Noon
		return errors.Join(append(errs, store(ctx, tx, other))...)
	})
	var place *files.TrashPlace
	for _, want := range [][]files.FileID{{"ann-0005", "ann-0004"}, {"ann-0003", "ann-0002"}, {"ann-0001"}, {}} {
		var got []files.File
		c.read(t, func(ctx context.Context, tx files.ReadTx) (err error) {
			got, err = tx.TrashedFiles(ctx, "ann", place, 2)
			return expect(t, "page", want, idsOf(got), err)
		})
		if len(got) > 0 {
			last := got[len(got)-1]
			place = &files.TrashPlace{Deleted: last.DeletedAt.UnixMicro(), ID: last.ID}
		}
	}
}

// checkSharedBlob: two versions of a file may name one blob, whose row then stays for both.
func checkSharedBlob(t *testing.T, c catalogTest) {
	f := sample("ann", 1)
	second := files.Version{File: f.ID, Number: 2, Blob: f.Blob, Size: f.Size, SHA256: f.SHA256, ContentType: f.ContentType, CreatedAt: Noon}
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		return errors.Join(store(ctx, tx, f), tx.InsertVersion(ctx, second), tx.DeleteVersion(ctx, f.ID, 1))
	})
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.DeleteBlob(ctx, f.Blob, files.BlobDead) })
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		got, err := tx.Versions(ctx, f.ID)
		return expect(t, "versions", []files.Version{second}, got, err)
	})
}
