package filestest

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// checkReceipts: receipts round-trip, one writes over another of its key, and only the newest are kept.
func checkReceipts(t *testing.T, c catalogTest) {
	receipt := func(owner files.OwnerID, n int) files.Receipt {
		return files.Receipt{
			Owner: owner, Key: files.Digest{byte(n)}, Request: files.Digest{9, byte(n)}, Answer: []byte(`{"n":1}`),
			At: Noon.Add(time.Duration(n) * time.Minute),
		}
	}
	has := func(owner files.OwnerID, want ...int) {
		t.Helper()
		c.read(t, func(ctx context.Context, tx files.ReadTx) error {
			var got []int
			for n := range 6 {
				r, err := tx.Receipt(ctx, owner, files.Digest{byte(n)})
				if errors.Is(err, fault.Of(fault.NotFound)) {
					continue
				}
				if err != nil {
					return err
				}
				if diff := cmp.Diff(receipt(owner, n), r); diff != "" {
					t.Errorf("receipt (-want +got):\n%s", diff)
				}
				got = append(got, n)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("receipts of %s (-want +got):\n%s", owner, diff)
			}
			return nil
		})
	}
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		older := receipt("ann", 1)
		older.Request, older.Answer, older.At = files.Digest{7}, []byte("{}"), Noon
		errs := []error{tx.SaveReceipt(ctx, older)}
		for n := range 6 {
			errs = append(errs, tx.SaveReceipt(ctx, receipt("ann", n)))
		}
		return errors.Join(append(errs, tx.SaveReceipt(ctx, receipt("bob", 0)))...)
	})
	has("ann", 0, 1, 2, 3, 4, 5)
	var removed [3]int64
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		count := func(i int) func(int64) { return func(n int64) { removed[i] = n } }
		return errors.Join(tx.KeepReceipts(ctx, "ann", 6, count(0)), tx.KeepReceipts(ctx, "ann", 4, count(1)), tx.KeepReceipts(ctx, "nobody", 4, count(2)))
	})
	if removed != [3]int64{0, 2, 0} {
		t.Errorf("removed %v receipts", removed)
	}
	has("ann", 2, 3, 4, 5)
	has("bob", 0)
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		first, err := tx.TrimReceipts(ctx, Noon.Add(3*time.Minute), 2)
		second, err2 := tx.TrimReceipts(ctx, Noon.Add(3*time.Minute), 2)
		if first != 2 || second != 1 {
			t.Errorf("trimmed %d and %d receipts", first, second)
		}
		return errors.Join(err, err2)
	})
	has("ann", 4, 5)
	has("bob")
	c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.KeepReceipts(ctx, "ann", 0, func(int64) {}) })
	has("ann")
}

func (b *bench) once(t *testing.T, key string) (files.File, error) {
	t.Helper()
	const content = "content"
	nf := files.NewFile{Name: "name", Size: int64(len(content)), Key: key, Metadata: files.Metadata{"a": "b"}}
	return b.Create(As(t.Context(), ann), ann, nf, strings.NewReader(content))
}

func checkOnceMade(t *testing.T, b *bench) {
	ctx := As(t.Context(), ann)
	first, err := b.once(t, "k")
	if err != nil {
		t.Fatal(err)
	}
	name := "other"
	if _, err := b.Update(ctx, ann, first.ID, files.FileChange{Name: &name}); err != nil {
		t.Fatal(err)
	}
	again, err := b.once(t, "k")
	if err != nil || again.ID != first.ID || again.Name != "name" || again.ETag() != first.ETag() || !again.CreatedAt.Equal(first.CreatedAt) ||
		again.Metadata["a"] != "b" {
		t.Errorf("again: %+v, %v; first: %+v", again, err, first)
	}
	b.clock.Advance(24*time.Hour + time.Second)
	if later, err := b.once(t, "k"); err != nil || later.ID == first.ID {
		t.Errorf("a day later: %+v, %v", later, err)
	}
	b.clock.Advance(24*time.Hour + time.Second)
	if err := b.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.once(t, "k2"); err != nil {
		t.Fatal(err)
	}
	if err := b.EraseOwner(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	err = b.stores.Catalog.Read(t.Context(), func(tx files.ReadTx) error {
		_, err := tx.Receipt(t.Context(), ann, DigestOf([]byte("k2")))
		return err
	})
	wantKind(t, err, fault.NotFound)
}

func checkKeyReused(t *testing.T, b *bench) {
	first, err := b.once(t, "k")
	if err != nil {
		t.Fatal(err)
	}
	other := DigestOf([]byte("contenT"))
	for says, nf := range map[string]files.NewFile{
		"name": {Name: "other", Size: 7}, "type": {Name: "name", Size: 7, ContentType: "text/plain"},
		"condition": {Name: "name", Size: 7, NewName: true}, "expiry": {Name: "name", Size: 7, ExpiresAt: Noon.Add(time.Hour)},
		"size": {Name: "name", Size: 8}, "digest": {Name: "name", Size: 7, Digest: &other},
	} {
		nf.Key = "k"
		if says == "size" || says == "digest" {
			nf.Metadata = files.Metadata{"a": "b"}
		}
		if _, err := b.Create(As(t.Context(), ann), ann, nf, unread{t}); !errors.Is(err, fault.Of(fault.KeyReused)) {
			t.Errorf("another %s: %v", says, err)
		}
	}
	for _, content := range []string{"contenT", "content and more", "conten", ""} {
		nf := files.NewFile{Name: "name", Size: files.UnknownSize, Key: "k", Metadata: files.Metadata{"a": "b"}}
		if _, err := b.Create(As(t.Context(), ann), ann, nf, strings.NewReader(content)); !errors.Is(err, fault.Of(fault.KeyReused)) {
			t.Errorf("content %q: %v", content, err)
		}
	}
	f, err := b.Create(As(t.Context(), bob), bob, files.NewFile{Name: "bob's", Size: 1, Key: "k"}, strings.NewReader("x"))
	if err != nil || f.ID == first.ID {
		t.Errorf("the same key of another person: %+v, %v", f, err)
	}
	if u, _ := b.Usage(As(t.Context(), ann), ann); u.Files != 1 || u.Bytes != 7 {
		t.Errorf("usage is %+v", u)
	}
	Audit(t, b.stores, ann, bob)
}

func checkOnceRace(t *testing.T, b *bench) {
	const requests = 1000
	var wait sync.WaitGroup
	ids, begin := make(chan files.FileID, requests), make(chan struct{})
	for range requests {
		wait.Go(func() {
			<-begin
			f, err := b.once(t, "k")
			switch {
			case err == nil:
				ids <- f.ID
			case !errors.Is(err, fault.Of(fault.Conflict)):
				t.Error(err)
			}
		})
	}
	close(begin)
	wait.Wait()
	close(ids)
	var one files.FileID
	for id := range ids {
		if one != "" && id != one {
			t.Errorf("two files: %s and %s", one, id)
		}
		one = id
	}
	if u, _ := b.Usage(As(t.Context(), ann), ann); one == "" || u.Files != 1 {
		t.Errorf("answered with %q, usage is %+v", one, u)
	}
	Audit(t, b.stores, ann)
}

// checkOnceTwoProcesses: nobody knows of what another process has under way; the commit does.
func checkOnceTwoProcesses(t *testing.T, b *bench) {
	create := func(key, content string) error {
		other := b.process(t, b.stores, nil)
		var between files.File
		slow := io.MultiReader(readFunc(func() error {
			var err error
			between, err = other.Create(As(t.Context(), ann), ann, files.NewFile{Name: "name", Size: 7, Key: key}, strings.NewReader("content"))
			return err
		}), strings.NewReader(content))
		f, err := b.Create(As(t.Context(), ann), ann, files.NewFile{Name: "name", Size: 7, Key: key}, slow)
		if err == nil && f.ID != between.ID {
			t.Errorf("two files: %s and %s", f.ID, between.ID)
		}
		return err
	}
	if err := create("same", "content"); err != nil {
		t.Error(err)
	}
	wantKind(t, create("other", "contenT"), fault.KeyReused)
	if u, _ := b.Usage(As(t.Context(), ann), ann); u.Files != 2 {
		t.Errorf("usage is %+v", u)
	}
	Settle(t, b.Service, b.clock)
	Audit(t, b.stores, ann)
}

// readFunc is a reader that does something and has ended.
type readFunc func() error

func (f readFunc) Read([]byte) (int, error) {
	if err := f(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

func checkOnceAfterFailure(t *testing.T, b *bench) {
	ctx := As(t.Context(), ann)
	nf := files.NewFile{Name: "name", Size: 7, Key: "k"}
	_, err := b.Create(ctx, ann, nf, iotest.ErrReader(io.ErrUnexpectedEOF))
	wantKind(t, err, fault.Invalid)
	nf.Size, nf.Name = 6, "better"
	if _, err := b.Create(ctx, ann, nf, strings.NewReader("better")); err != nil {
		t.Error(err)
	}
}
