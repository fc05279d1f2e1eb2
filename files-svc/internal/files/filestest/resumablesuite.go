package filestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// RunUploads holds a service's resumable uploads over real stores to their promises, one by one. RunUploadModel looks for
// what nobody has thought of.
func RunUploads(t *testing.T, open func(t *testing.T) Stores) {
	for name, check := range map[string]func(*testing.T, *uploadsTest){
		"what expires is gone, with its bytes and its quota": checkUploadExpiry,
		"an erased person's uploads are gone":                checkUploadErasure,
		"reserved quota is exact under concurrency":          checkUploadQuota,
		"parts are used up by one of two joins":              checkJoinRace,
		"parts without a byte are joined":                    checkJoinEmpty,
		"a crash between joining and the file":               checkJoinCrash,
		"a failed sync keeps what was saved before":          checkFailedSync,
		"rights and policy are asked again at the end":       checkUploadEnd,
	} {
		t.Run(name, func(t *testing.T) {
			u := &uploadsTest{stores: open(t), clock: NewClock(), fragile: &Fragile{}}
			u.Service = New(t, u.fragile.Stores(u.stores), files.Options{
				Now: u.clock.Now, Policy: func() files.Policy { return *u.policy.Load() },
			})
			u.policy.Store(&files.Policy{})
			check(t, u)
		})
	}
}

type uploadsTest struct {
	*files.Service
	stores  Stores
	clock   *Clock
	fragile *Fragile
	policy  atomic.Pointer[files.Policy]
}

func (u *uploadsTest) create(t *testing.T, size int64, part bool) files.UploadID {
	t.Helper()
	up, err := u.CreateUpload(As(t.Context(), ann), ann, files.NewUpload{File: files.NewFile{Name: "a", Size: size}, Part: part})
	if err != nil {
		t.Fatal(err)
	}
	return up.ID
}

func (u *uploadsTest) append(ctx context.Context, id files.UploadID, offset int64, content string) (files.Upload, error) {
	return u.AppendUpload(As(ctx, ann), ann, id, files.Chunk{
		Offset: offset, Size: int64(len(content)), AtLength: true, Content: strings.NewReader(content),
	})
}

func (u *uploadsTest) part(t *testing.T, content string) files.UploadID {
	t.Helper()
	id := u.create(t, int64(len(content)), true)
	if up, err := u.append(t.Context(), id, 0, content); err != nil || up.State != files.UploadDone {
		t.Fatalf("part is %+v, %v", up, err)
	}
	return id
}

func (u *uploadsTest) account(t *testing.T) files.Owner {
	t.Helper()
	var o files.Owner
	err := u.stores.Catalog.Read(t.Context(), func(tx files.ReadTx) (err error) {
		o, err = tx.Owner(t.Context(), ann)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// noBytes checks that no upload has bytes in the store.
func (u *uploadsTest) noBytes(t *testing.T) {
	t.Helper()
	err := u.stores.Blobs.WalkPartials(t.Context(), func(id files.UploadID) error {
		t.Errorf("bytes of upload %s are left", id)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func checkUploadExpiry(t *testing.T, u *uploadsTest) {
	u.policy.Store(&files.Policy{UploadExpiry: time.Hour})
	id, live := u.create(t, 10, false), u.create(t, 10, false)
	if _, err := u.append(t.Context(), id, 0, "hello"); err != nil {
		t.Fatal(err)
	}
	u.clock.Advance(50 * time.Minute)
	if up, err := u.append(t.Context(), live, 0, "hi"); err != nil || up.ExpiresAt.Before(u.clock.Now().Add(59*time.Minute)) {
		t.Errorf("a chunk does not move the expiry: %+v, %v", up, err)
	}
	u.clock.Advance(20 * time.Minute)
	_, err := u.StatUpload(As(t.Context(), ann), ann, id)
	wantRefusal(t, "stat", err, fault.Gone)
	_, err = u.append(t.Context(), id, 5, "world")
	wantRefusal(t, "append", err, fault.Gone)
	if err := u.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = u.StatUpload(As(t.Context(), ann), ann, id)
	wantRefusal(t, "stat after the reaper", err, fault.NotFound)
	if o := u.account(t); o.Reserved != 10 {
		t.Errorf("%d are reserved", o.Reserved)
	}
	if up, err := u.append(t.Context(), live, 2, "12345678"); err != nil || up.State != files.UploadDone {
		t.Errorf("the living one is %+v, %v", up, err)
	}
	u.noBytes(t)
	Audit(t, u.stores, ann)
}

func checkUploadErasure(t *testing.T, u *uploadsTest) {
	id := u.create(t, 10, false)
	if _, err := u.append(t.Context(), id, 0, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := u.EraseOwner(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	_, err := u.append(t.Context(), id, 5, "world")
	wantRefusal(t, "append", err, fault.NotFound)
	_, err = u.CreateUpload(As(t.Context(), ann), ann, files.NewUpload{File: files.NewFile{Name: "a", Size: 1}})
	wantRefusal(t, "create", err, fault.Forbidden)
	u.noBytes(t)
	Audit(t, u.stores, ann)
}

func checkUploadQuota(t *testing.T, u *uploadsTest) {
	const size, room = 100, 37
	u.policy.Store(&files.Policy{QuotaBytes: room * size})
	var group sync.WaitGroup
	var made atomic.Int64
	for range 200 {
		group.Go(func() {
			up, err := u.CreateUpload(As(t.Context(), ann), ann, files.NewUpload{File: files.NewFile{Name: "a", Size: size}})
			if errors.Is(err, fault.Of(fault.QuotaExceeded)) {
				return
			}
			if err == nil {
				made.Add(1)
				_, err = u.append(t.Context(), up.ID, 0, strings.Repeat("x", size))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if o := u.account(t); made.Load() != room || o.Bytes != room*size || o.Reserved != 0 {
		t.Errorf("%d of %d uploads; account is %+v", made.Load(), room, o)
	}
	Audit(t, u.stores, ann)
}

func checkJoinRace(t *testing.T, u *uploadsTest) {
	parts := []files.UploadID{u.part(t, "hello "), u.part(t, "world")}
	var group sync.WaitGroup
	var ids sync.Map
	for range 8 {
		group.Go(func() {
			up, err := u.JoinUploads(As(t.Context(), ann), ann, files.NewUpload{File: files.NewFile{Name: "a"}}, parts)
			if err == nil {
				ids.Store(up.ID, true)
				return
			}
			t.Error(err)
		})
	}
	group.Wait()
	n := 0
	ids.Range(func(any, any) bool { n++; return true })
	if o := u.account(t); n != 1 || o.Files != 1 || o.Bytes != 11 {
		t.Errorf("%d joined uploads; account is %+v", n, o)
	}
	u.noBytes(t)
	Audit(t, u.stores, ann)
}

// checkJoinEmpty: a part without a byte is a part.
func checkJoinEmpty(t *testing.T, u *uploadsTest) {
	for i, contents := range [][]string{{"hello ", "", "world"}, {"", ""}} {
		var parts []files.UploadID
		for _, content := range contents {
			parts = append(parts, u.part(t, content))
		}
		up, err := u.JoinUploads(As(t.Context(), ann), ann, files.NewUpload{File: files.NewFile{Name: fmt.Sprint(i)}}, parts)
		if want := strings.Join(contents, ""); err != nil || up.Length != int64(len(want)) {
			t.Errorf("%q: %d bytes, %v", contents, up.Length, err)
		}
	}
	u.noBytes(t)
	Audit(t, u.stores, ann)
}

func checkJoinCrash(t *testing.T, u *uploadsTest) {
	parts := []files.UploadID{u.part(t, "hello "), u.part(t, "world")}
	ask := files.NewUpload{File: files.NewFile{Name: "a"}}
	for _, op := range []string{OpAppend, OpSync, OpSynced, OpPromote, OpPromoted} {
		u.fragile.FailWhen(func(at string) error {
			if at == op {
				return errors.New("no")
			}
			return nil
		})
		if _, err := u.JoinUploads(As(t.Context(), ann), ann, ask, parts); err == nil {
			t.Errorf("joined although %s failed", op)
		}
		u.fragile.FailWhen(nil)
	}
	up, err := u.JoinUploads(As(t.Context(), ann), ann, ask, parts)
	if err != nil || up.State != files.UploadDone || up.Length != 11 {
		t.Fatalf("joined %+v, %v", up, err)
	}
	u.clock.Advance(48 * time.Hour)
	Settle(t, u.Service, u.clock)
	u.noBytes(t)
	if o := u.account(t); o.Files != 1 || o.Bytes != 11 || o.Reserved != 0 {
		t.Errorf("account is %+v", o)
	}
	Audit(t, u.stores, ann)
}

func checkFailedSync(t *testing.T, u *uploadsTest) {
	id := u.create(t, 10, false)
	if _, err := u.append(t.Context(), id, 0, "hello"); err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{OpPiece, OpSync, OpSynced, OpWrite} {
		u.fragile.FailWhen(func(at string) error {
			if at == op {
				return fault.New(fault.StorageFull, "full")
			}
			return nil
		})
		_, err := u.append(t.Context(), id, 5, "world")
		wantRefusal(t, op, err, fault.StorageFull)
		u.fragile.FailWhen(nil)
		if up, err := u.StatUpload(As(t.Context(), ann), ann, id); err != nil || up.Offset != 5 {
			t.Fatalf("after %s the upload is %+v, %v", op, up, err)
		}
	}
	up, err := u.append(t.Context(), id, 5, "world")
	if err != nil || up.State != files.UploadDone {
		t.Fatalf("done is %+v, %v", up, err)
	}
	c, err := u.Open(As(t.Context(), ann), ann, up.File)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := new(bytes.Buffer)
	if _, err := got.ReadFrom(c.Verified(t.Context())); err != nil || got.String() != "helloworld" {
		t.Errorf("reads back as %q, %v", got, err)
	}
}

func checkUploadEnd(t *testing.T, u *uploadsTest) {
	id := u.create(t, 10, false)
	if _, err := u.append(t.Context(), id, 0, "hello"); err != nil {
		t.Fatal(err)
	}
	u.policy.Store(&files.Policy{QuotaBytes: 5})
	_, err := u.append(t.Context(), id, 5, "world")
	wantRefusal(t, "quota lowered meanwhile", err, fault.QuotaExceeded)
	_, err = u.StatUpload(As(t.Context(), ann), ann, id)
	wantRefusal(t, "still", err, fault.QuotaExceeded)
	u.policy.Store(&files.Policy{MaxObjectBytes: 9})
	_, err = u.StatUpload(As(t.Context(), ann), ann, id)
	wantRefusal(t, "size lowered meanwhile", err, fault.TooLarge)
	u.policy.Store(&files.Policy{})
	up, err := u.StatUpload(As(t.Context(), ann), ann, id)
	if err != nil || up.State != files.UploadDone {
		t.Errorf("done is %+v, %v", up, err)
	}
	Audit(t, u.stores, ann)
}
