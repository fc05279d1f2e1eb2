package filestest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// RunService proves the promises of the core over a pair of stores. open makes empty ones.
func RunService(t *testing.T, open func(t *testing.T) Stores) {
	for name, check := range map[string]func(*testing.T, *bench){
		"an upload reads back":                            checkUpload,
		"a refused upload leaves nothing":                 checkRefused,
		"another person's file is not there":              checkForeign,
		"quota holds to the byte under parallel uploads":  checkQuotaRace,
		"quota is asked again at the commit":              checkQuotaLowered,
		"a reservation holds quota and is given back":     checkReservation,
		"nobody keeps more files than policy says":        checkMostFiles,
		"of two replaces under one If-Match one wins":     checkReplaceRace,
		"readers finish what was replaced and deleted":    checkReaders,
		"older versions are kept as far as policy says":   checkVersionsKept,
		"trash and expiry":                                checkTrash,
		"an erased person has nothing and gets nothing":   checkErase,
		"a commit with a lost answer loses nothing":       checkLostAnswer,
		"a reservation with a lost answer is given back":  checkLostReserve,
		"replaces count once on the bytes they free":      checkFreedOnce,
		"bytes that were freed twice are room once":       checkFreedByShrinking,
		"a fenced writer commits nothing":                 checkFenced,
		"live writers are spared, dead ones are searched": checkSpared,
		"rights are asked again at the commit":            checkRevoked,
		"a store that is full or away harms nothing":      checkStoreFails,
		"a content of unknown size is stopped by quota":   checkUndeclared,
		"a live writer finds what it could not clean up":  checkOwnStrays,
		"bytes that come late are found":                  checkLateBytes,
		"events tell what happened":                       checkServiceEvents,
		"a catalog restored inside the horizon is whole":  checkHorizon,
		"an old version comes back without a copy":        checkVersionRestore,
		"another person's versions are not there":         checkVersionsForeign,
		"the trash is listed, emptied and brought back":   checkTrashLife,
		"what has expired can be brought back":            checkTrashExpired,
		"changes are told once and in order":              checkChanges,
		"changes that are not kept are not passed over":   checkChangesGone,
		"a link opens until it ends":                      checkLinkLife,
		"a link is counted exactly":                       checkLinkCount,
		"what can not be a link is none":                  checkLinkRefusals,
		"a link's password can not be guessed":            checkLinkPassword,
		"downloads by a link that ends are cut":           checkLinkCut,
		"links of a blocked owner open nothing":           checkLinkBarred,
		"a request under a key makes one file":            checkOnceMade,
		"a key does not stand for another request":        checkKeyReused,
		"a thousand requests under a key make one file":   checkOnceRace,
		"two processes make one file under a key":         checkOnceTwoProcesses,
		"a request that failed may be repeated":           checkOnceAfterFailure,
		"a file of another system comes in once":          checkImport,
		"an import is held to the rules":                  checkImportRefusals,
		"of many imports of one file one makes it":        checkImportRace,
	} {
		t.Run(name, func(t *testing.T) { check(t, newBench(t, open(t))) })
	}
	for _, step := range files.Steps {
		t.Run("a crash at "+step, func(t *testing.T) { checkCrash(t, newBench(t, open(t)), step) })
	}
}

const (
	ann files.OwnerID = "ann"
	bob files.OwnerID = "bob"
)

func checkUpload(t *testing.T, b *bench) {
	for _, size := range []int{0, 1, 4096, 4097, files.SmallBytes, files.SmallBytes + 1, 3 << 20} {
		content := string(noise(size, uint64(size)))
		f := b.upload(t, ann, "name", content)
		if b.read(t, ann, f.ID) != content || f.SHA256 != DigestOf([]byte(content)) || f.Size != int64(size) || f.Version != 1 {
			t.Errorf("%d bytes: stored as %+v", size, f)
		}
		nf := files.NewFile{Name: "name", Size: files.UnknownSize}
		_, err := b.Create(As(t.Context(), ann), ann, nf, iotest.DataErrReader(iotest.HalfReader(strings.NewReader(content))))
		if err != nil {
			t.Error(err)
		}
	}
	b.audit(t)
}

func checkRefused(t *testing.T, b *bench) {
	wrong, big := files.Digest{1}, string(noise(2<<20+1, 1))
	b.upload(t, ann, "taken", "x")
	b.policy.Store(&files.Policy{QuotaBytes: 4 << 20, MaxObjectBytes: 2 << 20, ContentTypes: []string{"text/*", "image/png"}})
	for name, test := range map[string]struct {
		file    files.NewFile
		content io.Reader
		want    fault.Kind
	}{
		"bad name":            {files.NewFile{Name: "a\x00b", Size: 1}, unread{t}, fault.Invalid},
		"bad type":            {files.NewFile{Name: "a", ContentType: "text", Size: 1}, unread{t}, fault.Invalid},
		"type not allowed":    {files.NewFile{Name: "a", ContentType: "image/gif", Size: 1}, unread{t}, fault.UnsupportedMediaType},
		"declared too large":  {files.NewFile{Name: "a", Size: 2<<20 + 1}, unread{t}, fault.TooLarge},
		"too large":           {files.NewFile{Name: "a", Size: files.UnknownSize}, strings.NewReader(big), fault.TooLarge},
		"name taken":          {files.NewFile{Name: "taken", Size: 1, NewName: true}, unread{t}, fault.PreconditionFailed},
		"wrong digest":        {files.NewFile{Name: "a", Size: 1, Digest: &wrong}, strings.NewReader("x"), fault.DigestMismatch},
		"shorter than said":   {files.NewFile{Name: "a", Size: 2}, strings.NewReader("x"), fault.Invalid},
		"longer than said":    {files.NewFile{Name: "a", Size: 0}, strings.NewReader("x"), fault.Invalid},
		"broken off":          {files.NewFile{Name: "a", Size: files.UnknownSize}, iotest.ErrReader(io.ErrUnexpectedEOF), fault.Invalid},
		"broken off, large":   {files.NewFile{Name: "a", Size: 2 << 20}, io.MultiReader(strings.NewReader(big[:1<<20]), iotest.ErrReader(io.ErrUnexpectedEOF)), fault.Invalid},
		"the edge's own word": {files.NewFile{Name: "a", Size: 1}, iotest.ErrReader(fault.New(fault.Timeout, "too slow")), fault.Timeout},
	} {
		if test.file.ContentType == "" {
			test.file.ContentType = "text/plain"
		}
		_, err := b.Create(As(t.Context(), ann), ann, test.file, test.content)
		if fault.KindOf(err) != test.want {
			t.Errorf("%s: got %v, want kind %d", name, err, test.want)
		}
	}
	if got := b.usage(t); got.Bytes != 1 || got.Files != 1 {
		t.Errorf("usage is %+v", got)
	}
	if keys := Keys(t, b.stores.Blobs); len(keys) != 1 {
		t.Errorf("refused uploads left %v", keys)
	}
	b.audit(t)
}

// unread is a content nobody may look at.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Helper()
	u.t.Error("a byte was read before the refusal")
	return 0, io.EOF
}

func checkForeign(t *testing.T, b *bench) {
	f := b.upload(t, ann, "mine", "secret")
	ctx, name := As(t.Context(), bob), "stolen"
	for _, as := range []files.OwnerID{bob, ann} { // by the id alone, and by the id under its owner's name
		_, err1 := b.Get(ctx, as, f.ID)
		_, err2 := b.Open(ctx, as, f.ID)
		_, err3 := b.Update(ctx, as, f.ID, files.FileChange{Name: &name})
		_, err4 := b.Replace(ctx, as, f.ID, files.NewContent{Size: 1}, unread{t})
		err5 := b.Delete(ctx, as, f.ID, true)
		for _, err := range []error{err1, err2, err3, err4, err5} {
			wantKind(t, err, fault.NotFound)
		}
	}
	_, err := b.Get(t.Context(), ann, f.ID)
	wantKind(t, err, fault.Unauthenticated)
	if list, err := b.List(ctx, bob, files.ListQuery{}); err != nil || len(list.Files) != 0 {
		t.Errorf("bob sees %v, %v", list, err)
	}
	if b.read(t, ann, f.ID) != "secret" {
		t.Error("the file has changed")
	}
}

func checkReplaceRace(t *testing.T, b *bench) {
	f := b.upload(t, ann, "f", "old")
	const writers = 8
	errs := make(chan error, writers)
	var ready sync.WaitGroup
	ready.Add(writers)
	for range writers {
		go func() {
			c := files.NewContent{Size: 3, IfMatch: []string{f.ETag()}}
			_, err := b.Replace(As(t.Context(), ann), ann, f.ID, c, &between{strings.NewReader("old"), func() { ready.Done(); ready.Wait() }})
			errs <- err
		}()
	}
	wins := 0
	for range writers {
		if err := <-errs; err == nil {
			wins++
		} else {
			wantKind(t, err, fault.PreconditionFailed)
		}
	}
	if wins != 1 {
		t.Errorf("%d replaces won", wins)
	}
	c := files.NewContent{Size: 1, IfMatch: []string{"W/" + f.ETag(), f.ETag()}}
	_, err := b.Replace(As(t.Context(), ann), ann, f.ID, c, unread{t})
	wantKind(t, err, fault.PreconditionFailed)
	b.audit(t)
}

func checkReaders(t *testing.T, b *bench) {
	old := string(noise(1<<20, 1))
	f := b.upload(t, ann, "f", old)
	ctx := As(t.Context(), ann)
	first, err := b.Open(ctx, ann, f.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := first.Reach(ctx, 0); err != nil { // from here on nothing disturbs it
		t.Fatal(err)
	}
	if _, err := b.Replace(ctx, ann, f.ID, files.NewContent{Size: 3}, strings.NewReader("new")); err != nil {
		t.Fatal(err)
	}
	second, err := b.Open(ctx, ann, f.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := second.Reach(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(ctx, ann, f.ID, true); err != nil {
		t.Fatal(err)
	}
	Settle(t, b.Service, b.clock)
	if keys := Keys(t, b.stores.Blobs); len(keys) != 0 {
		t.Errorf("the store still has %v", keys)
	}
	got, err := io.ReadAll(first.Verified(ctx))
	if err != nil || string(got) != old {
		t.Errorf("the first reader got %d bytes, %v", len(got), err)
	}
	var copied bytes.Buffer
	if _, err := io.Copy(&copied, second.Verified(ctx)); err != nil || copied.String() != "new" {
		t.Errorf("the second reader got %q, %v", copied.String(), err)
	}
	_, err = b.Open(ctx, ann, f.ID)
	wantKind(t, err, fault.NotFound)
}

func checkRevoked(t *testing.T, b *bench) {
	for _, cause := range []error{fault.New(fault.InvalidToken, "revoked"), context.Canceled} {
		ctx, cancel := context.WithCancelCause(As(t.Context(), ann))
		revoke := func() { cancel(cause) }
		_, err := b.Create(ctx, ann, files.NewFile{Name: "f", Size: 3}, &between{strings.NewReader("abc"), revoke})
		if !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}

		late, cancelLate := context.WithCancelCause(As(t.Context(), ann)) // when all bytes are durable already
		s := b.process(t, b.stores, func(step string) error {
			if step == files.StepDurable {
				cancelLate(cause)
			}
			return nil
		})
		_, err = s.Create(late, ann, files.NewFile{Name: "f", Size: 3}, strings.NewReader("abc"))
		if !errors.Is(err, cause) {
			t.Errorf("late: got %v, want the cause", err)
		}
	}
	if keys := Keys(t, b.stores.Blobs); len(keys) != 0 {
		t.Errorf("the store has %v", keys)
	}
	b.audit(t)
}

// checkStoreFails: whatever operation the store refuses, nothing shows, what was there reads on, and the next upload works.
func checkStoreFails(t *testing.T, b *bench) {
	old := b.upload(t, ann, "old", "stays")
	for _, kind := range []fault.Kind{fault.StorageFull, fault.Unavailable} {
		for _, op := range []string{OpCreate, OpChunk, OpCommit, OpCommitted, OpWrite} {
			for _, size := range []int{5, files.SmallBytes + 5} {
				fragile, warm := &Fragile{}, false
				s := b.process(t, fragile.Stores(b.stores), nil)
				fragile.FailWhen(func(at string) error {
					if warm && at == op {
						return fault.New(kind, "no")
					}
					return nil
				})
				if err := s.Reap(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Create(As(t.Context(), bob), bob, files.NewFile{Name: "warm", Size: 0}, strings.NewReader("")); err != nil {
					t.Fatal(err)
				}
				warm = true
				nf := files.NewFile{Name: "new", Size: int64(size)}
				_, err := s.Create(As(t.Context(), ann), ann, nf, bytes.NewReader(noise(size, 1)))
				wantKind(t, err, kind)
				_, err = s.Replace(As(t.Context(), ann), ann, old.ID, files.NewContent{Size: int64(size)}, bytes.NewReader(noise(size, 1)))
				wantKind(t, err, kind)
				warm = false
				if got := b.usage(t); got.Bytes != 5 || got.Files != 1 || b.read(t, ann, old.ID) != "stays" {
					t.Errorf("%s: usage is %+v", op, got)
				}
				if _, err := s.Create(As(t.Context(), bob), bob, nf, bytes.NewReader(noise(size, 1))); err != nil {
					t.Errorf("the next upload after %s failed: %v", op, err)
				}
			}
		}
	}
	b.audit(t)
}

// checkUndeclared: chunked bodies without a length are held to the quota while they come, not only at their end.
func checkUndeclared(t *testing.T, b *bench) {
	b.policy.Store(&files.Policy{QuotaBytes: 5 << 20})
	b.upload(t, ann, "part", string(noise(1<<20, 1)))
	endless := &counter{}
	_, err := b.Create(As(t.Context(), ann), ann, files.NewFile{Name: "endless", Size: files.UnknownSize}, endless)
	wantKind(t, err, fault.QuotaExceeded)
	if endless.n > 5<<20 {
		t.Errorf("%d bytes were taken in before the refusal", endless.n)
	}
	if got := b.usage(t); got.Bytes != 1<<20 {
		t.Errorf("usage is %+v", got)
	}
	b.audit(t)
}

// counter is a content that never ends.
type counter struct{ n int64 }

func (c *counter) Read(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
