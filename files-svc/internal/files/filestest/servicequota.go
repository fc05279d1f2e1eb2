package filestest

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

func checkQuotaRace(t *testing.T, b *bench) {
	const uploads, size, room = 1000, 4096, 1 << 20
	b.policy.Store(&files.Policy{QuotaBytes: 3*size + room})
	for range 3 {
		b.upload(t, ann, "before", string(noise(size, 1)))
	}
	var race Tally
	var wait sync.WaitGroup
	gate := make(chan struct{}, 100) // as many at once as descriptors allow anywhere
	for n := range uploads {
		wait.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			content := noise(size, uint64(n))
			_, err := b.Create(As(t.Context(), ann), ann, files.NewFile{Name: "f", Size: files.UnknownSize}, bytes.NewReader(content))
			race.Count(t, err)
		})
	}
	wait.Wait()
	race.Want(t, room/size, uploads-room/size)
	if got := b.usage(t); got.Bytes != got.QuotaBytes {
		t.Errorf("usage is %+v", got)
	}
	b.audit(t)
}

func checkQuotaLowered(t *testing.T, b *bench) {
	b.policy.Store(&files.Policy{QuotaBytes: 100})
	lower := func() { b.policy.Store(&files.Policy{QuotaBytes: 5}) }
	nf := files.NewFile{Name: "f", Size: 10}
	_, err := b.Create(As(t.Context(), ann), ann, nf, &between{strings.NewReader("0123456789"), lower})
	wantKind(t, err, fault.QuotaExceeded)
	b.policy.Store(&files.Policy{QuotaBytes: 100})
	f := b.upload(t, ann, "f", "0123456789")
	lower()
	if _, err := b.Replace(As(t.Context(), ann), ann, f.ID, files.NewContent{Size: 8}, strings.NewReader("01234567")); err != nil {
		t.Errorf("a smaller content over a lowered quota: %v", err)
	}
	_, err = b.Replace(As(t.Context(), ann), ann, f.ID, files.NewContent{Size: 9}, strings.NewReader("012345678"))
	wantKind(t, err, fault.QuotaExceeded)
	b.audit(t)
}

// checkFreedOnce: a file may be replaced where there is no room for both contents, but not many times at once.
func checkFreedOnce(t *testing.T, b *bench) {
	const size, replaces = 3 << 20, 10
	b.policy.Store(&files.Policy{QuotaBytes: 4 << 20})
	content := noise(size, 1)
	f := b.upload(t, ann, "f", string(content))
	var race Tally
	replace := func(body io.Reader) {
		_, err := b.Replace(As(t.Context(), ann), ann, f.ID, files.NewContent{Size: size}, body)
		race.Count(t, err)
	}
	replace(&between{bytes.NewReader(content), func() { // while one is under way
		for range replaces {
			replace(unread{t})
		}
	}})
	replace(bytes.NewReader(content)) // and one after the other
	race.Want(t, 2, replaces)
	b.audit(t)
}

// checkFreedByShrinking: bytes that a replace counts on, and that another one has freed meanwhile, are no room for many more.
func checkFreedByShrinking(t *testing.T, b *bench) {
	const size, depth = 3 << 20, 8
	b.policy.Store(&files.Policy{QuotaBytes: 4 << 20})
	ctx := As(t.Context(), ann)
	content := noise(size, 1)
	underway, most := 0, 0
	var next func(n int)
	next = func(n int) {
		if n == depth {
			return
		}
		f := b.upload(t, ann, "f", string(content))
		underway++
		// The last byte comes when another replace has made the file small, and its room is used.
		body := io.MultiReader(bytes.NewReader(content[1:]), &between{bytes.NewReader(content[:1]), func() {
			most = max(most, underway)
			if _, err := b.Replace(ctx, ann, f.ID, files.NewContent{Size: 1}, strings.NewReader("x")); err != nil {
				t.Error(err)
			}
			next(n + 1)
		}})
		if _, err := b.Replace(ctx, ann, f.ID, files.NewContent{Size: size}, body); err != nil {
			wantKind(t, err, fault.QuotaExceeded)
		}
		underway--
	}
	next(0)
	if most > 1 {
		t.Errorf("%d contents of %d bytes were received at once under a quota of %d", most, size, 4<<20)
	}
	b.audit(t)
}

// checkMostFiles: files without bytes cost no quota, and still a row each.
func checkMostFiles(t *testing.T, b *bench) {
	b.policy.Store(&files.Policy{MaxVersions: 3, KeepVersions: 1, TrashRetention: time.Hour})
	ctx := As(t.Context(), ann)
	empty := func(name string) (files.File, error) {
		return b.Create(ctx, ann, files.NewFile{Name: name}, strings.NewReader(""))
	}
	first, trashed := b.upload(t, ann, "first", ""), b.upload(t, ann, "trashed", "")
	if err := b.Delete(ctx, ann, trashed.ID, false); err != nil {
		t.Fatal(err)
	}
	replace := func() error {
		_, err := b.Replace(ctx, ann, first.ID, files.NewContent{Size: 3}, strings.NewReader("new"))
		return err
	}
	if err := replace(); err != nil { // the old version is the third
		t.Fatal(err)
	}
	_, err := empty("one too many")
	wantKind(t, err, fault.QuotaExceeded)
	_, err = b.Create(ctx, ann, files.NewFile{Name: "large", Size: 3 << 20}, unread{t})
	wantKind(t, err, fault.QuotaExceeded)
	_, err = b.CreateUpload(ctx, ann, files.NewUpload{File: files.NewFile{Name: "resumable", Size: 1}})
	wantKind(t, err, fault.QuotaExceeded)
	if err := replace(); err != nil {
		t.Errorf("a replacement that lets an older version go: %v", err)
	}
	if _, err := b.RestoreVersion(ctx, ann, first.ID, 2, nil); err != nil {
		t.Errorf("a version brought back in the place of another: %v", err)
	}
	b.policy.Store(&files.Policy{MaxVersions: 3, KeepVersions: 2})
	wantKind(t, replace(), fault.QuotaExceeded)
	_, err = b.RestoreVersion(ctx, ann, first.ID, 3, nil)
	wantKind(t, err, fault.QuotaExceeded)
	if err := b.DeleteTrashed(ctx, ann, trashed.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := empty("fits now"); err != nil {
		t.Error(err)
	}
	b.audit(t)
}

// between does something once, when the first byte is asked for.
type between struct {
	io.Reader
	do func()
}

func (r *between) Read(p []byte) (int, error) {
	if r.do != nil {
		r.do()
		r.do = nil
	}
	return r.Reader.Read(p)
}

func checkReservation(t *testing.T, b *bench) {
	b.policy.Store(&files.Policy{QuotaBytes: 5 << 20})
	content := noise(3<<20, 1)
	second := func() {
		_, err := b.Create(As(t.Context(), ann), ann, files.NewFile{Name: "late", Size: 3 << 20}, unread{t})
		wantKind(t, err, fault.QuotaExceeded)
		small := files.NewFile{Name: "small", Size: files.UnknownSize}
		if _, err := b.Create(As(t.Context(), ann), ann, small, strings.NewReader("fits beside")); err != nil {
			t.Error(err)
		}
	}
	nf := files.NewFile{Name: "first", Size: 3 << 20}
	if _, err := b.Create(As(t.Context(), ann), ann, nf, &between{bytes.NewReader(content), second}); err != nil {
		t.Error(err)
	}
	nf.Size = 1500 << 10
	_, err := b.Create(As(t.Context(), ann), ann, nf, bytes.NewReader(content[:1400<<10]))
	wantKind(t, err, fault.Invalid)
	if _, err := b.Create(As(t.Context(), ann), ann, nf, bytes.NewReader(content[:1500<<10])); err != nil {
		t.Errorf("after a failed upload gave its room back: %v", err)
	}
	Audit(t, b.stores, ann)
	b.audit(t)
}
