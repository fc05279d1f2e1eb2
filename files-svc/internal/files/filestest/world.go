package filestest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/text/unicode/norm"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/principal"
)

// Stores are the two stores of a service.
type Stores struct {
	Catalog files.Catalog
	Blobs   files.Blobs
}

// Memory makes stores in memory.
func Memory() Stores { return Stores{Catalog: NewCatalog(), Blobs: NewBlobs()} }

// TB is what the helpers need of a test; *testing.T and *rapid.T have it.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// New makes a service over stores, with ids that count up. Its log goes nowhere.
func New(t TB, stores Stores, opts files.Options) *files.Service {
	t.Helper()
	if opts.LinkPasswordRounds == 0 {
		opts.LinkPasswordRounds = 2
	}
	s, err := files.New(stores.Catalog, stores.Blobs, NewID, norm.NFC.String, slog.New(slog.DiscardHandler), opts)
	if err != nil {
		t.Fatalf("make the service: %v", err)
	}
	return s
}

var (
	lastID  atomic.Int64
	firstID = time.Now().UnixMilli() // so that the ids of two processes differ
)

// NewID makes UUIDs that count up.
func NewID() string {
	return fmt.Sprintf("%08x-%04x-7c3e-9b1c-%012x", firstID>>16&0xffffffff, firstID&0xffff, lastID.Add(1))
}

// As is a context in which owner calls, with every right on own files.
func As(ctx context.Context, owner files.OwnerID) context.Context {
	p := principal.Principal{UserID: string(owner), SessionID: "session"}
	for _, action := range []string{"read", "create", "update", "delete"} {
		p.Permissions = append(p.Permissions, principal.Permission{Resource: "files", Action: action, Scope: principal.Self})
	}
	return principal.With(ctx, p)
}

// Clock is a clock that tests turn.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock that stands at Noon.
func NewClock() *Clock { return &Clock{now: Noon} }

// Now is the clock's time. Each look moves it a little, as time does.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Microsecond)
	return c.now
}

// Advance turns the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Settle runs passes until everything dead writers left is in the catalog: two see that they are dead, two more find
// their bytes. The clock is turned past lease, horizon and tombstones.
func Settle(t TB, s *files.Service, clock *Clock) {
	t.Helper()
	for _, wait := range []time.Duration{0, 31 * time.Second, 25 * time.Hour, 25 * time.Hour} {
		clock.Advance(wait)
		if err := s.Reap(context.Background()); err != nil {
			t.Fatalf("reap: %v", err)
		}
	}
}

// Audit checks that store and catalog agree about owners: each version's bytes are there with their digest, sums are the
// sums of what exists, nothing is reserved, and each key in the store has a row. Call it when nothing is under way.
func Audit(t TB, stores Stores, owners ...files.OwnerID) {
	t.Helper()
	ctx := context.Background()
	err := stores.Catalog.Read(ctx, func(tx files.ReadTx) error {
		var blobs int64
		for _, id := range owners {
			n, err := auditOwner(ctx, t, stores.Blobs, tx, id)
			if err != nil {
				return err
			}
			blobs += n
		}
		stats, err := tx.BlobStats(ctx)
		if live := stats[files.BlobLive].Blobs; err == nil && live != blobs {
			t.Errorf("%d blobs live, %d named by versions", live, blobs)
		}
		if n := stats[files.BlobPending].Blobs; n > 0 {
			t.Errorf("%d blobs still pending", n)
		}
		return err
	})
	if err != nil {
		t.Fatalf("audit: %v", err)
	}
	for _, key := range Keys(t, stores.Blobs) {
		err := stores.Catalog.Read(ctx, func(tx files.ReadTx) error {
			_, err := tx.Blob(ctx, key)
			return err
		})
		if err != nil {
			t.Errorf("key %s: %v", key, err)
		}
	}
}

func auditOwner(ctx context.Context, t TB, blobs files.Blobs, tx files.ReadTx, id files.OwnerID) (named int64, err error) {
	t.Helper()
	got, err := tx.Owner(ctx, id)
	if err != nil {
		return 0, err
	}
	want := files.Owner{ID: id, ErasedAt: got.ErasedAt}
	all, err := tx.DueFiles(ctx, files.DueQuery{Owner: id, Limit: 1 << 20})
	if err != nil {
		return 0, err
	}
	for _, f := range all {
		if f.DeletedAt.IsZero() {
			want.Files++
		}
		of, err := tx.Versions(ctx, f.ID)
		if err != nil {
			return 0, err
		}
		seen := map[files.BlobID]bool{}
		for _, v := range of {
			want.Versions++
			if !seen[v.Blob] {
				seen[v.Blob] = true
				named++
				want.Bytes += v.Size
			}
			row, err := tx.Blob(ctx, v.Blob)
			if err != nil || row.State != files.BlobLive || row.Size != v.Size || row.SHA256 != v.SHA256 {
				t.Errorf("version %d of %s: its blob's row is %+v, %v", v.Number, f.ID, row, err)
			}
			if err := checkBlobBytes(ctx, blobs, v); err != nil {
				t.Errorf("version %d of %s: %v", v.Number, f.ID, err)
			}
		}
		if len(of) == 0 || of[0].Number != f.Version || of[0].Blob != f.Blob {
			t.Errorf("file %s: newest version is not what the file says", f.ID)
		}
	}
	if got != want {
		t.Errorf("account of %s is %+v, what exists sums up to %+v", id, got, want)
	}
	return named, nil
}

func checkBlobBytes(ctx context.Context, blobs files.Blobs, v files.Version) error {
	src, err := blobs.Open(ctx, v.Blob, v.Size)
	if err != nil {
		return err
	}
	defer src.Close()
	content, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	if DigestOf(content) != v.SHA256 {
		return fmt.Errorf("blob %s has other bytes", v.Blob)
	}
	return nil
}

// Keys lists every key in a store of bytes.
func Keys(t TB, blobs files.Blobs) (keys []files.BlobID) {
	t.Helper()
	ctx := context.Background()
	epochs, err := blobs.Epochs(ctx)
	if err != nil {
		t.Fatalf("list epochs: %v", err)
	}
	for _, epoch := range epochs {
		err := blobs.Walk(ctx, epoch, 0, func(id files.BlobID) error {
			keys = append(keys, id)
			return nil
		})
		if err != nil {
			t.Fatalf("walk %s: %v", epoch, err)
		}
	}
	return keys
}
