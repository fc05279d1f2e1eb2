package files_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
)

// kept is a service with contents to scrub.
type kept struct {
	*files.Service
	t       *testing.T
	catalog *filestest.Catalog
	blobs   *filestest.Blobs
	meter   *ear
	clock   *filestest.Clock
}

func newKept(t *testing.T, change func(*files.Options)) *kept {
	t.Helper()
	k := &kept{t: t, catalog: filestest.NewCatalog(), blobs: filestest.NewBlobs(), meter: &ear{reaped: map[string]int{}}, clock: filestest.NewClock()}
	opts := files.Options{Meter: k.meter, Now: k.clock.Now}
	change(&opts)
	k.Service = filestest.New(t, filestest.Stores{Catalog: k.catalog, Blobs: k.blobs}, opts)
	return k
}

func plain(*files.Options) {}

func (k *kept) create(name, content string) (files.File, error) {
	return k.Create(filestest.As(k.t.Context(), ann), ann, files.NewFile{Name: name, Size: int64(len(content))}, strings.NewReader(content))
}

func (k *kept) must(f files.File, err error) files.File {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
	return f
}

// read reads a file as its owner does.
func (k *kept) read(id files.FileID) (string, error) {
	ctx := filestest.As(k.t.Context(), ann)
	c, err := k.Open(ctx, ann, id)
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(c.Body) // as ranges are read: nobody checks a digest on the way
	return string(b), err
}

func (k *kept) scrub(pass files.ScrubPass) files.ScrubReport {
	k.t.Helper()
	report, err := k.Scrub(k.t.Context(), pass)
	if err != nil {
		k.t.Fatal(err)
	}
	return report
}

func TestScrub_QuarantinesDamageAndTakesItBack(t *testing.T) {
	k := newKept(t, plain)
	whole, damaged, missing := k.must(k.create("a", "whole")), k.must(k.create("b", "damaged")), k.must(k.create("c", "missing"))
	if r := k.scrub(files.ScrubPass{}); !r.Sound() || r.Verified != 3 || r.Bytes != 19 {
		t.Fatalf("of sound blobs the scrub says %+v", r)
	}
	k.blobs.Damage(damaged.Blob, 3)
	k.blobs.Damage(missing.Blob, -1)
	if got, err := k.read(damaged.ID); err != nil || got == "damaged" {
		t.Fatalf("before the scrub: %q, %v", got, err)
	}
	r := k.scrub(files.ScrubPass{})
	if r.Sound() || r.Verified != 1 || r.Corrupt != 1 || r.Missing != 1 || len(r.Flawed) != 2 || k.meter.corrupt != 2 {
		t.Fatalf("got %+v, %d alerts", r, k.meter.corrupt)
	}
	if k.meter.flawed[files.FlawCorrupt] != (files.BlobStat{Blobs: 1, Bytes: 7}) || k.meter.flawed[files.FlawMissing].Blobs != 1 {
		t.Errorf("the meter heard %+v", k.meter.flawed)
	}
	k.meter.flawed = nil // as in a process whose turn it isn't to scrub
	if err := k.Reap(t.Context()); err != nil || k.meter.flawed[files.FlawCorrupt].Blobs != 1 {
		t.Errorf("a pass of the reaper: %v, the meter heard %+v", err, k.meter.flawed)
	}
	for name, id := range map[string]files.FileID{"damaged": damaged.ID, "missing": missing.ID} {
		if got, err := k.read(id); err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: read %q, %v", name, got, err)
		}
	}
	if got, err := k.read(whole.ID); err != nil || got != "whole" {
		t.Errorf("whole: read %q, %v", got, err)
	}
	alerts := k.meter.corrupt
	if r := k.scrub(files.ScrubPass{}); r.Corrupt != 1 || r.Missing != 1 || k.meter.corrupt != alerts {
		t.Errorf("a second pass says %+v, and %d alerts about what is known", r, k.meter.corrupt-alerts)
	}
	if r := k.scrub(files.ScrubPass{Quick: true, ReadOnly: true}); r.Sound() || r.Corrupt != 1 || r.Missing != 1 {
		t.Errorf("a pass that reads nothing says %+v of what is marked", r)
	}
	k.blobs.Damage(damaged.Blob, 3) // the same bit again: repaired
	if r := k.scrub(files.ScrubPass{}); r.Corrupt != 0 || r.Verified != 2 {
		t.Errorf("after the repair: %+v", r)
	}
	if got, err := k.read(damaged.ID); err != nil || got != "damaged" {
		t.Errorf("after the repair: read %q, %v", got, err)
	}
}

func TestScrub_ReadOnlyAndQuickChangeNoRow(t *testing.T) {
	for _, pass := range []files.ScrubPass{{ReadOnly: true}, {Quick: true}} {
		k := newKept(t, plain)
		f := k.must(k.create("a", "abc"))
		k.blobs.Damage(f.Blob, 0)
		wantCorrupt := int64(1)
		if pass.Quick {
			wantCorrupt = 0 // its size is right
		}
		if r := k.scrub(pass); r.Corrupt != wantCorrupt || r.Blobs != 1 {
			t.Errorf("%+v: %+v", pass, r)
		}
		if _, err := k.read(f.ID); err != nil {
			t.Errorf("%+v put a blob into quarantine: %v", pass, err)
		}
	}
}

func TestScrub_FindsKeysNoRowKnows(t *testing.T) {
	k := newKept(t, plain)
	f := k.must(k.create("a", "abc"))
	epoch, _, _ := f.Blob.Split()
	sink, err := k.blobs.Create(t.Context(), files.NewBlobID(epoch, 99))
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := k.scrub(files.ScrubPass{Keys: true, ReadOnly: true}); r.UnknownKeys != 1 || !r.Sound() {
		t.Errorf("got %+v", r)
	}
}

// A pass that ends early goes on where it stopped, since each row keeps when it was verified.
func TestScrub_GoesOnWhereItStopped(t *testing.T) {
	k := newKept(t, plain)
	for i := range 150 {
		k.must(k.create(fmt.Sprint(i), "abc"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	until := k.clock.Now()
	first, err := k.Scrub(ctx, files.ScrubPass{Until: until, Progress: func(files.ScrubReport) { cancel() }})
	if !errors.Is(err, context.Canceled) || first.Verified == 0 || first.Verified >= 150 {
		t.Fatalf("the pass that was broken off: %+v, %v", first, err)
	}
	if r := k.scrub(files.ScrubPass{Until: until}); first.Verified+r.Verified != 150 {
		t.Errorf("first %d, then %d of 150", first.Verified, r.Verified)
	}
}

// brokenReads is a store whose bytes can't be read.
type brokenReads struct{ files.Blobs }

type brokenSource struct{ files.BlobSource }

func (brokenSource) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

func (b brokenReads) Open(ctx context.Context, id files.BlobID, size int64) (files.BlobSource, error) {
	src, err := b.Blobs.Open(ctx, id, size)
	return brokenSource{src}, err
}

func TestScrub_AStoreThatFailsCondemnsNothing(t *testing.T) {
	k := newKept(t, plain)
	f := k.must(k.create("a", "abc"))
	broken := filestest.New(t, filestest.Stores{Catalog: k.catalog, Blobs: brokenReads{k.blobs}}, files.Options{Meter: k.meter, Now: k.clock.Now})
	r, err := broken.Scrub(t.Context(), files.ScrubPass{})
	if err != nil || r.Unreadable != 1 || r.Corrupt != 0 || r.Sound() {
		t.Errorf("got %+v, %v", r, err)
	}
	if got, err := k.read(f.ID); err != nil || got != "abc" {
		t.Errorf("read %q, %v", got, err)
	}
	if again := k.scrub(files.ScrubPass{}); again.Verified != 1 {
		t.Errorf("the next pass: %+v", again)
	}
}

func TestScrub_KeepsItsRateAndStepsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, func(o *files.Options) { o.Now = time.Now })
		f := k.must(k.create("a", string(bytes.Repeat([]byte("x"), 1<<20))))
		took := func() time.Duration {
			began := time.Now()
			k.scrub(files.ScrubPass{Rate: 1 << 20})
			return time.Since(began)
		}
		if d := took(); d < 900*time.Millisecond || d > 1200*time.Millisecond {
			t.Errorf("1 MiB at 1 MiB/s took %v", d)
		}
		c, err := k.Open(filestest.As(t.Context(), ann), ann, f.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := took(); d < 7*time.Second {
			t.Errorf("beside a download it took %v", d)
		}
		_ = c.Close()
		_ = c.Close() // counts once
		if d := took(); d > 1200*time.Millisecond {
			t.Errorf("after the download it took %v", d)
		}
	})
}

func TestRun_ScrubsWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, func(o *files.Options) {
			o.Now, o.Scrub = time.Now, files.ScrubPace{Rate: 1 << 20, Every: time.Hour}
		})
		f := k.must(k.create("a", "abc"))
		k.blobs.Damage(f.Blob, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(62 * time.Minute) // once: were it done before it is due, it would be due again by now
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if fmt.Sprint(k.meter.scrubbed) != "[corrupt]" || k.meter.flawed[files.FlawCorrupt].Blobs != 1 {
			t.Errorf("scrubbed %v, %v", k.meter.scrubbed, k.meter.flawed)
		}
	})
}
