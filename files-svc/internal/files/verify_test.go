package files_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// ear is a meter that remembers.
type ear struct {
	uploads []string
	bytes   int64
	corrupt int
	states  map[files.BlobState]files.BlobStat
	reaped  map[string]int
	passes  int

	scrubbed, scanned []string

	mu     sync.Mutex // scrub and reaper tell of flawed
	flawed map[files.Flaw]files.BlobStat
}

func (e *ear) Uploaded(_ context.Context, result string, n int64, _ time.Duration) {
	e.uploads = append(e.uploads, result)
	e.bytes += n
}
func (e *ear) Reaped(step string, n int)                      { e.reaped[step] += n }
func (e *ear) PassEnded(time.Duration, error)                 { e.passes++ }
func (e *ear) Blobs(stats map[files.BlobState]files.BlobStat) { e.states = stats }
func (e *ear) OpenUploads(files.UploadStats)                  {}
func (e *ear) Corrupt()                                       { e.corrupt++ }
func (e *ear) Scrubbed(result string, _ int64)                { e.scrubbed = append(e.scrubbed, result) }
func (e *ear) Scanned(result string)                          { e.scanned = append(e.scanned, result) }
func (e *ear) Soundness(_ time.Time, flawed map[files.Flaw]files.BlobStat) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flawed = flawed
}

func TestVerified_DamageNeverComesWhole(t *testing.T) {
	const size = 700_000
	content := bytes.Repeat([]byte("content"), size/7)
	for _, at := range []int{0, size / 2, size - 1} {
		for name, copyAll := range map[string]func(io.Reader) (int64, error){
			"copy": func(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) },
			"read": func(r io.Reader) (int64, error) { b, err := io.ReadAll(r); return int64(len(b)), err },
			"bytes": func(r io.Reader) (int64, error) {
				b, err := io.ReadAll(iotest.OneByteReader(r))
				return int64(len(b)), err
			},
		} {
			meter, blobs := &ear{}, filestest.NewBlobs()
			s := filestest.New(t, filestest.Stores{Catalog: filestest.NewCatalog(), Blobs: blobs}, files.Options{Meter: meter})
			ctx := filestest.As(t.Context(), ann)
			f, err := s.Create(ctx, ann, files.NewFile{Name: "f", Size: size}, bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			blobs.Damage(f.Blob, at)
			c, err := s.Open(ctx, ann, f.ID)
			if err != nil {
				t.Fatal(err)
			}
			n, err := copyAll(c.Verified(ctx))
			if err == nil || n >= size || fault.KindOf(err) != fault.Internal || meter.corrupt != 1 {
				t.Errorf("%s, damage at %d: %d bytes came, %v, %d alerts", name, at, n, err, meter.corrupt)
			}
		}
	}
}

func TestVerified_EndsWithItsContext(t *testing.T) {
	s := filestest.New(t, filestest.Memory(), files.Options{})
	ctx, cancel := context.WithCancelCause(filestest.As(t.Context(), ann))
	f, err := s.Create(ctx, ann, files.NewFile{Name: "f", Size: 3}, strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Open(ctx, ann, f.ID)
	if err != nil {
		t.Fatal(err)
	}
	revoked := fault.New(fault.InvalidToken, "revoked")
	r := c.Verified(ctx)
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel(revoked)
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, revoked) {
		t.Errorf("got %v, want the cause", err)
	}
}

func TestOpen_MissingBytesAreAnAlert(t *testing.T) {
	meter, blobs := &ear{}, filestest.NewBlobs()
	s := filestest.New(t, filestest.Stores{Catalog: filestest.NewCatalog(), Blobs: blobs}, files.Options{Meter: meter})
	ctx := filestest.As(t.Context(), ann)
	f, err := create(t, s, files.NewFile{Name: "f"})
	if err != nil {
		t.Fatal(err)
	}
	blobs.Damage(f.Blob, -1)
	if _, err := s.Open(ctx, ann, f.ID); err == nil || fault.KindOf(err) != fault.Internal || meter.corrupt != 1 {
		t.Errorf("got %v, %d alerts", err, meter.corrupt)
	}
}

func TestMeter(t *testing.T) {
	meter, clock := &ear{reaped: map[string]int{}}, filestest.NewClock()
	s := filestest.New(t, filestest.Memory(), files.Options{Meter: meter, Now: clock.Now, RestoreHorizon: -1})
	ctx := filestest.As(t.Context(), ann)
	f, err := create(t, s, files.NewFile{Name: "f"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(ctx, ann, files.NewFile{Name: "g", Size: 1}, strings.NewReader("xy")); err == nil {
		t.Fatal("too long a content was taken")
	}
	if err := errors.Join(s.Delete(ctx, ann, f.ID, true), s.Reap(t.Context())); err != nil {
		t.Fatal(err)
	}
	if strings.Join(meter.uploads, " ") != "ok invalid" || meter.bytes != 3 || meter.passes != 1 {
		t.Errorf("heard %v, %d bytes, %d passes", meter.uploads, meter.bytes, meter.passes)
	}
	if meter.reaped["deleting"] != 1 || meter.reaped["tombstone"] != 1 || meter.states[files.BlobTombstone].Blobs != 1 {
		t.Errorf("heard %v, %v", meter.reaped, meter.states)
	}
}

func TestRights(t *testing.T) {
	s := filestest.New(t, filestest.Memory(), files.Options{})
	f, err := create(t, s, files.NewFile{Name: "f"})
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(ctx context.Context) error{
		"create": func(ctx context.Context) error {
			_, err := s.Create(ctx, ann, files.NewFile{Name: "f", Size: 0}, strings.NewReader(""))
			return err
		},
		"read":   func(ctx context.Context) error { _, err := s.Get(ctx, ann, f.ID); return err },
		"update": func(ctx context.Context) error { _, err := s.Update(ctx, ann, f.ID, files.FileChange{}); return err },
		"delete": func(ctx context.Context) error { return s.Delete(ctx, ann, f.ID, true) },
	}
	for _, granted := range []string{"read", "update", "create", "delete"} {
		for action, call := range calls {
			p := principal.Principal{UserID: "ann", Permissions: []principal.Permission{
				{Resource: "files", Action: granted, Scope: principal.Self}, {Resource: "users", Action: action, Scope: principal.All},
			}}
			err := call(principal.With(t.Context(), p))
			if granted == action && err != nil || granted != action && !errors.Is(err, fault.Of(fault.Forbidden)) {
				t.Errorf("%s with the right to %s: %v", action, granted, err)
			}
		}
	}
}

// The rights are asked inside the transaction: a caller who loses them between two runs of it has nothing kept.
func TestCreate_RightsLostWhileCommitting(t *testing.T) {
	revoked := fault.New(fault.InvalidToken, "revoked")
	ctx, cancel := context.WithCancelCause(filestest.As(t.Context(), ann))
	stores := filestest.Memory()
	s := filestest.New(t, stores, files.Options{At: func(step string) error {
		if step == files.StepSettling {
			cancel(revoked)
		}
		return nil
	}})
	_, err := s.Create(ctx, ann, files.NewFile{Name: "f", Size: 1}, strings.NewReader("x"))
	if keys := filestest.Keys(t, stores.Blobs); !errors.Is(err, revoked) || len(keys) > 0 {
		t.Errorf("got %v, keys %v", err, keys)
	}
}
