package filestest

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// bench is a service with what a test turns.
type bench struct {
	*files.Service
	stores Stores
	clock  *Clock
	policy atomic.Pointer[files.Policy]
}

func newBench(t *testing.T, stores Stores) *bench {
	b := &bench{stores: stores, clock: NewClock()}
	b.policy.Store(&files.Policy{})
	b.Service = b.process(t, stores, nil)
	return b
}

// process is one more process on some stores.
func (b *bench) process(t *testing.T, stores Stores, at func(string) error) *files.Service {
	return New(t, stores, files.Options{
		Now: b.clock.Now, Policy: func() files.Policy { return *b.policy.Load() }, At: at, RestoreHorizon: time.Hour,
	})
}

func (b *bench) upload(t *testing.T, owner files.OwnerID, name, content string) files.File {
	t.Helper()
	nf := files.NewFile{Name: name, Size: int64(len(content))}
	f, err := b.Create(As(t.Context(), owner), owner, nf, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (b *bench) read(t *testing.T, owner files.OwnerID, id files.FileID) string {
	t.Helper()
	ctx := As(t.Context(), owner)
	c, err := b.Open(ctx, owner, id)
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

// usage is what ann's files take.
func (b *bench) usage(t *testing.T) files.Usage {
	t.Helper()
	u, err := b.Usage(As(t.Context(), ann), ann)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// audit settles everything and holds catalog and store together.
func (b *bench) audit(t *testing.T) {
	t.Helper()
	Settle(t, b.Service, b.clock)
	Audit(t, b.stores, ann, bob)
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != kind || err == nil {
		t.Errorf("got error %v, want kind %d", err, kind)
	}
}
