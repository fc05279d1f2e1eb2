package filestest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

func checkVersionsKept(t *testing.T, b *bench) {
	b.policy.Store(&files.Policy{KeepVersions: 2, QuotaBytes: 12})
	f := b.upload(t, ann, "f", "v1..")
	ctx := As(t.Context(), ann)
	for n := 2; n <= 5; n++ {
		var err error
		if f, err = b.Replace(ctx, ann, f.ID, files.NewContent{Size: 4}, strings.NewReader(fmt.Sprintf("v%d..", n))); err != nil {
			t.Fatal(err)
		}
	}
	var numbers []int64
	err := b.stores.Catalog.Read(ctx, func(tx files.ReadTx) error {
		versions, err := tx.Versions(ctx, f.ID)
		numbers = nil
		for _, v := range versions {
			numbers = append(numbers, v.Number)
		}
		return err
	})
	if diff := cmp.Diff([]int64{5, 4, 3}, numbers); diff != "" || err != nil {
		t.Errorf("versions, %v (-want +got):\n%s", err, diff)
	}
	if got := b.usage(t); got.Bytes != 12 || got.Files != 1 {
		t.Errorf("usage is %+v", got)
	}
	b.policy.Store(&files.Policy{})
	if _, err := b.Replace(ctx, ann, f.ID, files.NewContent{Size: 1}, strings.NewReader("6")); err != nil {
		t.Fatal(err)
	}
	if got := b.usage(t); got.Bytes != 1 {
		t.Errorf("usage is %+v after the policy keeps nothing", got)
	}
	b.audit(t)
}

func checkTrash(t *testing.T, b *bench) {
	b.policy.Store(&files.Policy{TrashRetention: 10 * time.Hour})
	ctx := As(t.Context(), ann)
	f, gone, expiring := b.upload(t, ann, "f", "four"), b.upload(t, ann, "gone", "4444"), b.upload(t, ann, "expiring", "abcd")
	soon := b.clock.Now().Add(time.Hour)
	if _, err := b.Update(ctx, ann, expiring.ID, files.FileChange{ExpiresAt: &soon}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Delete(ctx, ann, f.ID, false), b.Delete(ctx, ann, gone.ID, true)); err != nil {
		t.Fatal(err)
	}
	wantKind(t, b.Delete(ctx, ann, f.ID, false), fault.NotFound)
	wantKind(t, b.Delete(ctx, ann, gone.ID, true), fault.NotFound)
	if got := b.usage(t); got.Bytes != 8 || got.Files != 1 {
		t.Errorf("usage is %+v", got)
	}

	b.clock.Advance(2 * time.Hour)
	for _, id := range []files.FileID{f.ID, expiring.ID} { // gone at its time, whether or not the reaper has come
		_, err := b.Get(ctx, ann, id)
		wantKind(t, err, fault.NotFound)
		_, err = b.Open(ctx, ann, id)
		wantKind(t, err, fault.NotFound)
	}
	if err := b.Reap(ctx); err != nil {
		t.Fatal(err)
	}
	if got := b.usage(t); got.Bytes != 8 || got.Files != 0 {
		t.Errorf("usage is %+v with two files in the trash", got)
	}
	b.clock.Advance(9 * time.Hour)
	if err := b.Reap(ctx); err != nil {
		t.Fatal(err)
	}
	if got := b.usage(t); got.Bytes != 4 {
		t.Errorf("usage is %+v after the first is purged", got)
	}
	if err := b.Delete(ctx, ann, expiring.ID, true); err != nil {
		t.Errorf("delete for good out of the trash: %v", err)
	}
	b.audit(t)
}

func checkErase(t *testing.T, b *bench) {
	for n := range 120 { // more than one batch
		b.upload(t, ann, fmt.Sprint(n), "x")
	}
	other := b.upload(t, bob, "other", "stays")
	ctx := As(t.Context(), ann)
	f := b.upload(t, ann, "trashed", "x")
	if err := b.Delete(ctx, ann, f.ID, false); err != nil {
		t.Fatal(err)
	}
	erase := func() {
		for range 2 {
			if err := b.EraseOwner(t.Context(), ann); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := b.Create(ctx, ann, files.NewFile{Name: "under way", Size: 3}, &between{strings.NewReader("abc"), erase})
	wantKind(t, err, fault.Forbidden)
	_, err = b.Create(ctx, ann, files.NewFile{Name: "later", Size: 3 << 20}, unread{t})
	wantKind(t, err, fault.Forbidden)
	if got := b.usage(t); got.Bytes != 0 || got.Files != 0 {
		t.Errorf("usage is %+v", got)
	}
	if err := b.SetLogPosition(t.Context(), 42); err != nil {
		t.Fatal(err)
	}
	if seq, err := b.LogPosition(t.Context()); err != nil || seq != 42 {
		t.Errorf("log position %d, %v", seq, err)
	}
	b.audit(t)
	if keys := Keys(t, b.stores.Blobs); len(keys) != 1 || b.read(t, bob, other.ID) != "stays" {
		t.Errorf("the store has %v", keys)
	}
}

// checkLostAnswer: COMMIT went through and nobody heard; the bytes must not be cleaned away.
func checkLostAnswer(t *testing.T, b *bench) {
	for _, size := range []int{5, files.SmallBytes + 5} {
		content := string(noise(size, 1))
		fragile := &Fragile{}
		lost := errors.New("connection lost")
		s := b.process(t, fragile.Stores(b.stores), func(step string) error {
			if step == files.StepDurable { // the next write is the commit
				fragile.FailWhen(func(op string) error {
					if op == OpWritten {
						return lost
					}
					return nil
				})
			}
			return nil
		})
		nf := files.NewFile{Name: "f", Size: int64(size)}
		if _, err := s.Create(As(t.Context(), ann), ann, nf, strings.NewReader(content)); !errors.Is(err, lost) {
			t.Fatalf("got %v", err)
		}
		fragile.FailWhen(nil)
		Settle(t, s, b.clock)
		list, err := b.List(As(t.Context(), ann), ann, files.ListQuery{})
		if err != nil || len(list.Files) != 1 {
			t.Fatalf("list: %v, %v", list, err)
		}
		if b.read(t, ann, list.Files[0].ID) != content {
			t.Error("other bytes")
		}
		if err := b.Delete(As(t.Context(), ann), ann, list.Files[0].ID, true); err != nil {
			t.Fatal(err)
		}
	}
	b.audit(t)
}

// checkLostReserve: what was reserved by a commit nobody heard of is given back.
func checkLostReserve(t *testing.T, b *bench) {
	const size = files.SmallBytes + 5
	fragile, armed := &Fragile{}, false
	lost := errors.New("connection lost")
	s := b.process(t, fragile.Stores(b.stores), func(step string) error {
		if step == files.StepAuthorized && armed { // the next write is the reservation
			fragile.FailWhen(func(op string) error {
				if op == OpWritten {
					return lost
				}
				return nil
			})
		}
		return nil
	})
	if _, err := s.Create(As(t.Context(), ann), ann, files.NewFile{Name: "empty"}, strings.NewReader("")); err != nil { // the writer has its epoch
		t.Fatal(err)
	}
	b.policy.Store(&files.Policy{QuotaBytes: size})
	content := string(noise(size, 1))
	armed = true
	if _, err := s.Create(As(t.Context(), ann), ann, files.NewFile{Name: "f", Size: size}, unread{t}); !errors.Is(err, lost) {
		t.Fatalf("got %v", err)
	}
	fragile.FailWhen(nil)
	if err := s.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.upload(t, ann, "fits, since nothing is reserved", content)
	b.audit(t)
}

func checkFenced(t *testing.T, b *bench) {
	other := b.process(t, b.stores, nil)
	fenceOnly := func() {
		for range 2 {
			b.clock.Advance(31 * time.Second) // nobody renews the lease meanwhile
			if err := other.Reap(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	forget := func() { Settle(t, other, b.clock) }
	for n, fence := range []func(){fenceOnly, forget, fenceOnly, forget} {
		size := int64(5 + n/2*files.SmallBytes)
		content := string(noise(int(size), 1))
		nf := files.NewFile{Name: "f", Size: size}
		_, err := b.Create(As(t.Context(), ann), ann, nf, &between{strings.NewReader(content), fence})
		wantKind(t, err, fault.Unavailable)
		if got := b.usage(t); got.Bytes != 0 {
			t.Errorf("usage is %+v", got)
		}
		b.Service = b.process(t, b.stores, nil)
	}
	b.audit(t)
}

// checkSpared: a pass of another process leaves a live writer's bytes alone, and takes a dead one's.
func checkSpared(t *testing.T, b *bench) {
	other := b.process(t, b.stores, nil)
	pass := func(s *files.Service) {
		if err := s.Reap(t.Context()); err != nil {
			t.Error(err)
		}
	}
	stop := errors.New("stop")
	dies := b.process(t, b.stores, func(step string) error {
		if step == files.StepDurable {
			return stop
		}
		return nil
	})
	if _, err := dies.Create(As(t.Context(), ann), ann, files.NewFile{Name: "f", Size: 3}, strings.NewReader("abc")); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	pass(other)
	if keys := Keys(t, b.stores.Blobs); len(keys) != 1 {
		t.Errorf("a live writer's bytes are gone: %v", keys)
	}
	b.clock.Advance(31 * time.Second)
	pass(other) // fenced and found
	b.clock.Advance(2 * time.Hour)
	pass(other) // past the horizon
	if keys := Keys(t, b.stores.Blobs); len(keys) != 0 {
		t.Errorf("a dead writer's bytes are still there: %v", keys)
	}

	f := b.upload(t, ann, "f", "lives")
	for range 3 { // looking often does not make anybody dead
		pass(other)
	}
	b.upload(t, ann, "g", "lives too")
	nf := files.NewFile{Name: "f", Size: files.SmallBytes + 5}
	during := func() { pass(b.Service); pass(b.Service) }
	if _, err := b.Create(As(t.Context(), ann), ann, nf, &between{strings.NewReader(string(noise(int(nf.Size), 1))), during}); err != nil {
		t.Errorf("an upload under way during its own reaper's passes: %v", err)
	}
	var busy *files.Service
	busy = b.process(t, b.stores, func(step string) error {
		if step == files.StepDurable { // the key is there and no row names it
			pass(busy)
		}
		return nil
	})
	if _, err := busy.Create(As(t.Context(), ann), ann, files.NewFile{Name: "f", Size: 3}, strings.NewReader("abc")); err != nil {
		t.Errorf("an upload whose bytes are durable, during its own reaper's pass: %v", err)
	}
	if b.read(t, ann, f.ID) != "lives" {
		t.Error("other bytes")
	}
	b.audit(t)
}

// checkOwnStrays: an upload fails and so does its clean-up; the writer lives on and its own reaper sees to it.
func checkOwnStrays(t *testing.T, b *bench) {
	b.policy.Store(&files.Policy{QuotaBytes: 3 << 20})
	fragile := &Fragile{}
	s := b.process(t, fragile.Stores(b.stores), func(step string) error {
		if step == files.StepDurable {
			fragile.FailWhen(func(op string) error {
				if op == OpWrite || op == OpDelete {
					return fault.New(fault.Unavailable, "away")
				}
				return nil
			})
		}
		return nil
	})
	pass := func() {
		fragile.FailWhen(nil)
		if err := s.Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		pass()
		for _, size := range []int64{3, 2 << 20} {
			_, err := s.Create(As(t.Context(), ann), ann, files.NewFile{Name: "f", Size: size}, strings.NewReader(string(noise(int(size), 1))))
			wantKind(t, err, fault.Unavailable)
			pass()
		}
	}
	b.clock.Advance(2 * time.Hour)
	pass()
	if keys := Keys(t, b.stores.Blobs); len(keys) != 0 {
		t.Errorf("the store has %v", keys)
	}
	b.upload(t, ann, "room", string(noise(3<<20, 1))) // no reservation is left
	b.audit(t)
}

func checkServiceEvents(t *testing.T, b *bench) {
	ctx, name := As(t.Context(), ann), "other"
	f := b.upload(t, ann, "f", "1")
	_, err1 := b.Replace(ctx, ann, f.ID, files.NewContent{Size: 1}, strings.NewReader("2"))
	_, err2 := b.Update(ctx, ann, f.ID, files.FileChange{Name: &name})
	_, refused := b.Replace(ctx, ann, f.ID, files.NewContent{Size: 1, IfMatch: []string{f.ETag()}}, strings.NewReader("3"))
	wantKind(t, refused, fault.PreconditionFailed)
	if err := errors.Join(err1, err2, b.Delete(ctx, ann, f.ID, false), b.Delete(ctx, ann, f.ID, true), b.EraseOwner(ctx, ann)); err != nil {
		t.Fatal(err)
	}
	var got []files.EventKind
	err := b.stores.Catalog.Read(ctx, func(tx files.ReadTx) error {
		events, err := tx.EventsAfter(ctx, 0, 100)
		got = nil
		for _, e := range events {
			got = append(got, e.Kind)
		}
		return err
	})
	want := []files.EventKind{
		files.FileCreated, files.FileReplaced, files.FileUpdated, files.FileTrashed, files.FileDeleted, files.OwnerErased,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("events, %v (-want +got):\n%s", err, diff)
	}
	b.clock.Advance(31 * 24 * time.Hour)
	b.audit(t)
	err = b.stores.Catalog.Read(ctx, func(tx files.ReadTx) error {
		events, err := tx.EventsAfter(ctx, 0, 100)
		if len(events) > 0 {
			t.Errorf("the outbox still has %d events", len(events))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// checkHorizon: what was named by a row an hour ago still has its bytes.
func checkHorizon(t *testing.T, b *bench) {
	f := b.upload(t, ann, "f", "old")
	ctx := As(t.Context(), ann)
	if err := b.Delete(ctx, ann, f.ID, true); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.clock.Advance(15 * time.Minute)
		if err := b.Reap(ctx); err != nil {
			t.Fatal(err)
		}
	}
	src, err := b.stores.Blobs.Open(ctx, f.Blob, f.Size)
	if err != nil {
		t.Fatalf("inside the horizon: %v", err)
	}
	content, err := io.ReadAll(src)
	if err := errors.Join(err, src.Close()); err != nil || string(content) != "old" {
		t.Errorf("read %q, %v", content, err)
	}
	b.audit(t)
	if keys := Keys(t, b.stores.Blobs); len(keys) != 0 {
		t.Errorf("after the horizon the store has %v", keys)
	}
}

// checkCrash kills a process at a step of an upload, a replace or a pass, and starts another.
func checkCrash(t *testing.T, b *bench, step string) {
	ctx := As(t.Context(), ann)
	f := b.upload(t, ann, "acknowledged", "bytes")
	doomed := b.upload(t, ann, "doomed", "bytes")
	if err := b.Delete(ctx, ann, doomed.ID, true); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(2 * time.Hour)
	fragile := &Fragile{}
	reached := false
	s := b.process(t, fragile.Stores(b.stores), func(at string) error {
		if at == step {
			reached = true
			fragile.Crash()
		}
		if fragile.Crashed() {
			return ErrCrash
		}
		return nil
	})
	big := string(noise(files.SmallBytes+100, 1))
	_, err := s.Replace(ctx, ann, f.ID, files.NewContent{Size: int64(len(big))}, strings.NewReader(big))
	if err == nil {
		err = s.Reap(ctx)
	}
	if !reached || !errors.Is(err, ErrCrash) {
		t.Fatalf("reached %v, %v", reached, err)
	}
	b.Service = b.process(t, b.stores, nil)
	b.audit(t)
	replaced := slices.Index(files.Steps, step) >= slices.Index(files.Steps, files.StepSettled)
	if want := map[bool]string{false: "bytes", true: big}[replaced]; b.read(t, ann, f.ID) != want {
		t.Errorf("replaced is %v, but the content is another", replaced)
	}
	if keys := Keys(t, b.stores.Blobs); len(keys) != 1 {
		t.Errorf("the store has %v", keys)
	}
}
