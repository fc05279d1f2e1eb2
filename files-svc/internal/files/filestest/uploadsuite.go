package filestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// sampleUpload is an upload with all its fields set.
func sampleUpload(id files.UploadID, owner files.OwnerID) files.Upload {
	digest := files.Digest{7}
	return files.Upload{
		ID: id, Owner: owner, State: files.UploadOpen, Part: true, Joins: []files.UploadID{"X1", "X2"}, Into: "Z", Name: "Отчёт.pdf",
		ContentType: "application/pdf", Metadata: files.Metadata{"k": "v"}, FileExpires: Noon.Add(time.Hour), NewName: true,
		Expected: &digest, Note: "filename YQ==", Length: 100, Offset: 40, Sealed: true, Hash: []byte("state"), Parts: []byte("pieces"), Reserved: 100, File: "f",
		CreatedAt: Noon, ExpiresAt: Noon.Add(24 * time.Hour), Revision: 1,
	}
}

func checkUploads(t *testing.T, c catalogTest) {
	full := sampleUpload("A", "ann")
	bare := files.Upload{ID: "B", Owner: "ann", State: files.UploadOpen, Metadata: files.Metadata{}, Joins: []files.UploadID{},
		Length: files.UnknownSize, CreatedAt: Noon, ExpiresAt: Noon, Revision: 1}
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		return errors.Join(tx.InsertUpload(ctx, full), tx.InsertUpload(ctx, bare))
	})
	c.expectUpload(t, full)
	c.expectUpload(t, bare)
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.InsertUpload(ctx, full) })
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.UpdateUpload(ctx, full) })

	full.State, full.Into, full.Length, full.Offset, full.Sealed, full.Hash = files.UploadDone, "Y", 50, 50, false, nil
	full.Reserved, full.File, full.ExpiresAt, full.Revision = 0, "g", Noon.Add(48*time.Hour), 2
	c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.UpdateUpload(ctx, full) })
	c.expectUpload(t, full)
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.UpdateUpload(ctx, full) })

	c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.DeleteUpload(ctx, "A") })
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error { return tx.DeleteUpload(ctx, "A") })
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error {
		_, err := tx.Upload(ctx, "A")
		return err
	})
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error {
		full.Revision++
		return tx.UpdateUpload(ctx, full)
	})
}

func (c catalogTest) expectUpload(t *testing.T, want files.Upload) {
	t.Helper()
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		got, err := tx.Upload(ctx, want.ID)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("upload differs: %s", diff)
		}
		return err
	})
}

func checkDueUploads(t *testing.T, c catalogTest) {
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		for _, u := range []files.Upload{
			{ID: "A", Owner: "ann", State: files.UploadOpen, ExpiresAt: Noon}, {ID: "B", Owner: "ann", State: files.UploadDone, ExpiresAt: Noon.Add(time.Second)},
			{ID: "C", Owner: "bob", State: files.UploadOpen, ExpiresAt: Noon.Add(-time.Second)}, {ID: "D", Owner: "ann", State: files.UploadOpen, ExpiresAt: Noon.Add(time.Hour)},
		} {
			u.CreatedAt, u.Revision = Noon, 1
			if err := tx.InsertUpload(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	for says, test := range map[string]struct {
		q    files.DueUploads
		want string
	}{
		"an owner's":      {files.DueUploads{Owner: "ann", Limit: 9}, "ABD"},
		"behind an id":    {files.DueUploads{Owner: "ann", After: "A", Limit: 1}, "B"},
		"expired":         {files.DueUploads{ExpiredBefore: Noon, Limit: 9}, "AC"},
		"expired, behind": {files.DueUploads{ExpiredBefore: Noon.Add(time.Minute), After: "A", Limit: 9}, "BC"},
		"nobody's":        {files.DueUploads{Owner: "eve", Limit: 9}, ""},
	} {
		c.read(t, func(ctx context.Context, tx files.ReadTx) error {
			found, err := tx.DueUploads(ctx, test.q)
			got := ""
			for _, u := range found {
				got += string(u.ID)
			}
			if got != test.want {
				t.Errorf("%s: got %q, want %q", says, got, test.want)
			}
			return err
		})
	}
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		n, err := tx.OpenUploads(ctx, "ann")
		if n != 2 {
			t.Errorf("ann has %d open uploads", n)
		}
		if err != nil {
			return err
		}
		want := files.UploadStats{}
		for _, owner := range []files.OwnerID{"ann", "bob"} {
			all, err := tx.DueUploads(ctx, files.DueUploads{Owner: owner, Limit: 100})
			if err != nil {
				return err
			}
			for _, u := range all {
				if u.State == files.UploadOpen {
					want.Open++
					want.Reserved += u.Reserved
				}
			}
		}
		if got, err := tx.UploadStats(ctx); got != want || want.Open < 2 {
			t.Errorf("open uploads: %+v, want %+v, %v", got, want, err)
		}
		return err
	})
}

// write appends to an upload's bytes; sync says whether to make that durable.
func (b blobsTest) append(t *testing.T, id files.UploadID, offset int64, content string, sync bool) {
	t.Helper()
	sink, err := b.AppendPartial(t.Context(), b.at(id, offset))
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(sink, content)
	if sync {
		parts, failed := sink.Sync(t.Context())
		err = errors.Join(err, failed)
		if b.parts[id] == nil {
			b.parts[id] = map[int64][]byte{}
		}
		b.parts[id][offset+int64(len(content))] = parts
	}
	if err := errors.Join(err, sink.Close()); err != nil {
		t.Fatal(err)
	}
}

func (b blobsTest) partial(t *testing.T, id files.UploadID, size int64) string {
	t.Helper()
	src, err := b.OpenPartial(t.Context(), b.at(id, size))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	content, err := io.ReadAll(io.LimitReader(src, size))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func checkPartials(t *testing.T, b blobsTest) {
	b.append(t, "A", 0, "hello", true)
	b.append(t, "A", 5, " world", true) // the row never heard of it
	b.append(t, "A", 5, ", you", true)
	if got := b.partial(t, "A", 10); got != "hello, you" {
		t.Errorf("got %q", got)
	}
	_, err := b.AppendPartial(t.Context(), files.Partial{ID: "A", Size: 15, Parts: b.parts["A"][10]})
	wantRefusal(t, "beyond the end", err, fault.NotFound)
	_, err = b.AppendPartial(t.Context(), b.at("B", 1))
	wantRefusal(t, "of nothing", err, fault.NotFound)
	_, err = b.OpenPartial(t.Context(), files.Partial{ID: "A", Size: 15, Parts: b.parts["A"][10]})
	wantRefusal(t, "more than there is", err, fault.NotFound)
	_, err = b.OpenPartial(t.Context(), b.at("B", 1))
	wantRefusal(t, "nothing", err, fault.NotFound)

	sink, err := b.AppendPartial(t.Context(), b.at("A", 10))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.AppendPartial(t.Context(), b.at("A", 10))
	wantRefusal(t, "while another writes", err, fault.Conflict)
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	b.append(t, "A", 10, "!", true)
	b.append(t, "C", 0, "c", true)
	var found []string
	err = b.WalkPartials(t.Context(), func(id files.UploadID) error {
		found = append(found, string(id))
		return nil
	})
	if len(found) != 2 || err != nil {
		t.Errorf("walk found %v, %v", found, err)
	}
	for range 2 {
		if err := b.RemovePartials(t.Context(), []files.UploadID{"A", "C", "D"}); err != nil {
			t.Error(err)
		}
	}
	_, err = b.OpenPartial(t.Context(), b.at("A", 11))
	wantRefusal(t, "removed", err, fault.NotFound)
	checkRemoveInWalk(t, b)
}

// checkRemoveInWalk: a walk meets each upload although those it has met go at once.
func checkRemoveInWalk(t *testing.T, b blobsTest) {
	t.Helper()
	const uploads = 60
	for n := range uploads {
		b.append(t, files.UploadID(fmt.Sprintf("W%d", n)), 0, "w", true)
	}
	met := 0
	err := b.WalkPartials(t.Context(), func(id files.UploadID) error {
		met++
		return b.RemovePartials(t.Context(), []files.UploadID{id})
	})
	if met != uploads || err != nil {
		t.Errorf("met %d of %d uploads, %v", met, uploads, err)
	}
	err = b.WalkPartials(t.Context(), func(id files.UploadID) error { return fmt.Errorf("%s is left", id) })
	if err != nil {
		t.Error(err)
	}
}

func wantRefusal(t *testing.T, says string, err error, kind fault.Kind) {
	t.Helper()
	if !errors.Is(err, fault.Of(kind)) {
		t.Errorf("%s: got %v, want kind %d", says, err, kind)
	}
}

func checkPromote(t *testing.T, b blobsTest) {
	id := files.NewBlobID(EpochA, 1)
	b.append(t, "A", 0, "hello", true)
	b.append(t, "A", 5, " lost", false)
	err := b.Promote(t.Context(), files.Partial{ID: "A", Size: 11, Parts: b.parts["A"][5]}, id)
	wantRefusal(t, "more than there is", err, fault.NotFound)
	if err := b.Promote(t.Context(), b.at("A", 5), id); err != nil {
		t.Fatal(err)
	}
	if err := b.RemovePartials(t.Context(), []files.UploadID{"A"}); err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(b.open(t, id, 5))
	if err != nil || !bytes.Equal(content, []byte("hello")) {
		t.Errorf("blob has %q, %v", content, err)
	}
	b.append(t, "B", 0, "other", true)
	if err := b.Promote(t.Context(), b.at("B", 5), id); err == nil {
		t.Error("a blob was overwritten")
	}
	epochs, err := b.Epochs(t.Context())
	if err != nil || len(epochs) != 1 {
		t.Errorf("uploads show among epochs: %v, %v", epochs, err)
	}
}
