package filestest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// DigestOf is the digest of a content.
func DigestOf(content []byte) files.Digest { return sha256.Sum256(content) }

// RunModel drives a service over real stores with random uploads, replaces, deletes, crashes at any operation, restarts
// and reaper's passes, beside a model that only remembers what was acknowledged. open makes empty stores and what closes
// them.
func RunModel(t *testing.T, open func() (Stores, func())) {
	rapid.Check(t, func(rt *rapid.T) {
		stores, done := open()
		defer done()
		m := &model{stores: stores, clock: NewClock(), want: map[files.FileID]kept{}}
		m.restart(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"create":  m.create,
			"replace": m.replace,
			"update":  m.update,
			"delete":  m.delete,
			"reap":    m.reap,
			"wait": func(rt *rapid.T) {
				m.clock.Advance(time.Duration(rapid.IntRange(0, 100_000).Draw(rt, "seconds")) * time.Second)
			},
			"restart": m.restart,
			"crash":   m.armCrash,
			"":        m.check,
		})
		m.restart(rt)
		Settle(rt, m.service, m.clock)
		m.clock.Advance(2 * time.Hour) // past the horizon of what the last pass has purged
		m.reap(rt)
		m.check(rt)
		Audit(rt, m.stores, modelOwner)
		m.expectNoStrays(rt)
	})
}

const (
	modelOwner     files.OwnerID = "ann"
	modelRetention               = 48 * time.Hour
)

// kept is what the model knows of an acknowledged file.
type kept struct {
	content []byte
	etag    string
	name    string
	trashed bool

	trashedAt time.Time
}

type model struct {
	stores  Stores
	clock   *Clock
	fragile *Fragile
	service *files.Service
	want    map[files.FileID]kept
	budget  int // operations until the process crashes; negative: it does not
	quota   int64
}

// restart is a new process on the old stores.
func (m *model) restart(rt *rapid.T) {
	if m.fragile != nil {
		m.fragile.Crash() // the old process, if it is still there, is killed
	}
	m.budget = -1
	m.quota = int64(rapid.SampledFrom([]int{0, 1 << 20, 4 << 20}).Draw(rt, "quota"))
	m.fragile = &Fragile{}
	m.fragile.FailWhen(m.step)
	m.service = New(rt, m.fragile.Stores(m.stores), files.Options{
		Now: m.clock.Now, RestoreHorizon: time.Hour, At: m.step, NewUploadID: NewID,
		Policy: func() files.Policy {
			return files.Policy{QuotaBytes: m.quota, KeepVersions: 1, TrashRetention: modelRetention}
		},
	})
}

// step counts down to the crash.
func (m *model) step(string) error {
	switch {
	case m.fragile.Crashed():
		return ErrCrash
	case m.budget > 0:
		m.budget--
	case m.budget == 0:
		m.fragile.Crash()
		return ErrCrash
	}
	return nil
}

func (m *model) armCrash(rt *rapid.T) {
	m.budget = rapid.IntRange(0, 12).Draw(rt, "operations until the crash")
}

func (m *model) ctx() context.Context { return As(context.Background(), modelOwner) }

func drawContent(rt *rapid.T) []byte {
	size := rapid.IntRange(0, 5000).Draw(rt, "size")
	if rapid.IntRange(0, 7).Draw(rt, "large") == 7 { // with a row of its own, which costs more to test
		size += files.SmallBytes - 2500
	}
	return noise(size, uint64(rapid.IntRange(0, 1<<16).Draw(rt, "seed")))
}

// declare draws how much of a content is announced.
func declare(rt *rapid.T, content []byte) (size int64, digest *files.Digest) {
	size = files.UnknownSize
	if rapid.Bool().Draw(rt, "size declared") {
		size = int64(len(content))
	}
	if rapid.Bool().Draw(rt, "digest declared") {
		d := DigestOf(content)
		digest = &d
	}
	return size, digest
}

func (m *model) create(rt *rapid.T) {
	content := drawContent(rt)
	size, digest := declare(rt, content)
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "name")
	before := m.fileIDs(rt)
	f, err := m.service.Create(m.ctx(), modelOwner, files.NewFile{Name: name, Size: size, Digest: digest}, bytes.NewReader(content))
	switch {
	case err == nil:
		m.want[f.ID] = kept{content: content, etag: f.ETag(), name: name}
	case errors.Is(err, fault.Of(fault.QuotaExceeded)):
		if m.quota == 0 {
			rt.Fatalf("refused without a quota: %v", err)
		}
	case errors.Is(err, ErrCrash):
		// Not acknowledged: absent or whole.
		for id := range m.fileIDs(rt) {
			if !before[id] {
				m.want[id] = kept{content: content, name: name, etag: m.etagOf(rt, id)}
			}
		}
		m.restart(rt)
	default:
		rt.Fatalf("create: %v", err)
	}
}

func (m *model) replace(rt *rapid.T) {
	id, old, ok := m.pick(rt)
	if !ok {
		return
	}
	content := drawContent(rt)
	size, digest := declare(rt, content)
	match := rapid.SampledFrom([][]string{nil, {"*"}, {old.etag}, {`"stale"`}, {`"stale"`, old.etag}}).Draw(rt, "if-match")
	f, err := m.service.Replace(m.ctx(), modelOwner, id, files.NewContent{Size: size, Digest: digest, IfMatch: match}, bytes.NewReader(content))
	next := old
	next.content = content
	switch {
	case err == nil:
		if old.trashed || slices.Equal(match, []string{`"stale"`}) {
			rt.Fatalf("replaced what could not be: trashed %v, if-match %v", old.trashed, match)
		}
		next.etag = f.ETag()
		m.want[id] = next
	case errors.Is(err, fault.Of(fault.NotFound)) && old.trashed,
		errors.Is(err, fault.Of(fault.PreconditionFailed)) && slices.Equal(match, []string{`"stale"`}),
		errors.Is(err, fault.Of(fault.QuotaExceeded)) && m.quota > 0:
	case errors.Is(err, ErrCrash):
		if etag := m.etagOf(rt, id); etag != old.etag {
			next.etag = etag
			m.want[id] = next
		}
		m.restart(rt)
	default:
		rt.Fatalf("replace: %v", err)
	}
}

func (m *model) update(rt *rapid.T) {
	id, old, ok := m.pick(rt)
	if !ok || old.trashed {
		return
	}
	name := rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "name")
	_, err := m.service.Update(m.ctx(), modelOwner, id, files.FileChange{Name: &name})
	if m.crashed(rt, "update", err) {
		name = m.row(rt, id).Name
	}
	old.name = name
	m.want[id] = old
}

func (m *model) delete(rt *rapid.T) {
	id, old, ok := m.pick(rt)
	if !ok {
		return
	}
	if !old.trashed {
		old.trashedAt = m.clock.Now()
	}
	permanent := rapid.Bool().Draw(rt, "permanent")
	err := m.service.Delete(m.ctx(), modelOwner, id, permanent)
	if errors.Is(err, fault.Of(fault.NotFound)) && old.trashed && !permanent {
		return
	}
	if m.crashed(rt, "delete", err) {
		if m.fileIDs(rt)[id] {
			old.trashed = !m.row(rt, id).DeletedAt.IsZero()
			m.want[id] = old
		} else {
			delete(m.want, id)
		}
		return
	}
	if old.trashed = true; permanent {
		delete(m.want, id)
	} else {
		m.want[id] = old
	}
}

func (m *model) reap(rt *rapid.T) {
	err := m.service.Reap(context.Background())
	m.crashed(rt, "reap", err)
	m.forgetPurged(rt)
}

// forgetPurged drops from the model what has been in the trash for its time.
func (m *model) forgetPurged(rt *rapid.T) {
	got := m.fileIDs(rt)
	for id, old := range m.want {
		if old.trashed && !got[id] && m.clock.Now().Sub(old.trashedAt) >= modelRetention {
			delete(m.want, id)
		}
	}
}

// crashed starts a new process when err says that the old one is gone.
func (m *model) crashed(rt *rapid.T, what string, err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, ErrCrash):
		m.restart(rt)
		return true
	default:
		rt.Fatalf("%s: %v", what, err)
		return false
	}
}

func (m *model) pick(rt *rapid.T) (files.FileID, kept, bool) {
	if len(m.want) == 0 {
		return "", kept{}, false
	}
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(m.want))).Draw(rt, "file")
	return id, m.want[id], true
}

// check reads every acknowledged file back, past everything that could crash.
func (m *model) check(rt *rapid.T) {
	got := m.fileIDs(rt)
	for id := range got {
		if _, ok := m.want[id]; !ok {
			rt.Fatalf("file %s was never acknowledged", id)
		}
	}
	for id, want := range m.want {
		if !got[id] {
			rt.Fatalf("acknowledged file %s is lost", id)
		}
		f := m.row(rt, id)
		if f.Name != want.name || f.ETag() != want.etag || f.DeletedAt.IsZero() == want.trashed {
			rt.Fatalf("file %s is %+v, want %q %s trashed %v", id, f, want.name, want.etag, want.trashed)
		}
		src, err := m.stores.Blobs.Open(context.Background(), f.Blob, f.Size)
		if err != nil {
			rt.Fatalf("file %s: %v", id, err)
		}
		content, err := io.ReadAll(src)
		if err := errors.Join(err, src.Close()); err != nil || !bytes.Equal(content, want.content) {
			rt.Fatalf("file %s: other bytes than acknowledged (%d, want %d), %v", id, len(content), len(want.content), err)
		}
	}
}

// expectNoStrays checks that after the last passes the store holds nothing but living blobs.
func (m *model) expectNoStrays(rt *rapid.T) {
	versions := 0
	err := m.stores.Catalog.Read(context.Background(), func(tx files.ReadTx) error {
		stats, err := tx.BlobStats(context.Background())
		versions = int(stats[files.BlobLive].Blobs)
		return err
	})
	if keys := Keys(rt, m.stores.Blobs); err != nil || len(keys) != versions {
		rt.Fatalf("store has %d keys for %d versions, %v", len(keys), versions, err)
	}
}

func (m *model) fileIDs(rt *rapid.T) map[files.FileID]bool {
	ids := map[files.FileID]bool{}
	err := m.stores.Catalog.Read(context.Background(), func(tx files.ReadTx) error {
		all, err := tx.DueFiles(context.Background(), files.DueQuery{Owner: modelOwner, Limit: 1 << 20})
		for _, f := range all {
			ids[f.ID] = true
		}
		return err
	})
	if err != nil {
		rt.Fatalf("list files: %v", err)
	}
	return ids
}

func (m *model) row(rt *rapid.T, id files.FileID) (f files.File) {
	err := m.stores.Catalog.Read(context.Background(), func(tx files.ReadTx) (err error) {
		f, err = tx.File(context.Background(), id)
		return err
	})
	if err != nil {
		rt.Fatalf("file %s: %v", id, err)
	}
	return f
}

func (m *model) etagOf(rt *rapid.T, id files.FileID) string { return m.row(rt, id).ETag() }
