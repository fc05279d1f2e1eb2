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

// RunUploadModel drives resumable uploads over real stores: chunks that arrive whole, break off, lie about their offset,
// length or checksum, and crashes at any operation, beside a model that remembers what was acknowledged. It holds that
// no acknowledged byte is lost, that no other byte shows, and that what is done reads back whole.
func RunUploadModel(t *testing.T, open func() (Stores, func())) {
	rapid.Check(t, func(rt *rapid.T) {
		stores, done := open()
		defer done()
		m := &uploadModel{model: model{stores: stores, clock: NewClock(), want: map[files.FileID]kept{}}, sent: map[files.UploadID]*sending{}}
		m.restart(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"begin":   m.begin,
			"append":  m.append,
			"append2": m.append, // most of the time
			"stat":    m.stat,
			"end":     m.end,
			"reap":    m.reap,
			"restart": m.restart,
			"crash":   m.armCrash,
			"wait": func(rt *rapid.T) {
				m.clock.Advance(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "seconds")) * time.Second)
			},
			"": func(*rapid.T) {},
		})
		m.restart(rt)
		for _, id := range slices.Sorted(maps.Keys(m.sent)) {
			m.complete(rt, id)
		}
		m.clock.Advance(48 * time.Hour) // whatever was never told to the client expires
		Settle(rt, m.service, m.clock)
		m.check(rt)
		Audit(rt, m.stores, modelOwner)
		m.expectNoStrays(rt)
		_ = m.stores.Blobs.WalkPartials(context.Background(), func(id files.UploadID) error {
			rt.Fatalf("bytes of upload %s are left", id)
			return nil
		})
	})
}

// sending is what the client knows of an upload.
type sending struct {
	content []byte
	length  bool  // the service knows how long it is
	acked   int64 // acknowledged
	tried   int64 // the farthest byte ever sent
	done    bool  // the last answer has been received
	ended   bool  // an end was asked for and its answer lost
	heard   time.Time
}

type uploadModel struct {
	model
	sent map[files.UploadID]*sending
}

func (m *uploadModel) pickUpload(rt *rapid.T) (files.UploadID, *sending) {
	if len(m.sent) == 0 {
		return "", nil
	}
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(m.sent))).Draw(rt, "upload")
	return id, m.sent[id]
}

func (m *uploadModel) begin(rt *rapid.T) {
	content := noise(rapid.IntRange(0, 20_000).Draw(rt, "size"), uint64(rapid.IntRange(0, 1<<16).Draw(rt, "seed")))
	u := &sending{content: content, length: rapid.Bool().Draw(rt, "length known"), heard: m.clock.Now()}
	n := files.NewUpload{File: files.NewFile{Name: "a", Size: files.UnknownSize}}
	if u.length {
		n.File.Size = int64(len(content))
	}
	if rapid.Bool().Draw(rt, "digest declared") {
		d := DigestOf(content)
		n.File.Digest = &d
	}
	up, err := m.service.CreateUpload(m.ctx(), modelOwner, n)
	if errors.Is(err, fault.Of(fault.QuotaExceeded)) && m.quota > 0 {
		return
	}
	if !m.crashed(rt, "create upload", err) {
		m.sent[up.ID] = u
	}
}

// broken is a line that breaks off, which also ends the request, as it does in net/http. Each piece takes a while.
type broken struct {
	io.Reader
	clock *Clock
	err   error
	end   func()
}

func (b broken) Read(p []byte) (int, error) {
	b.clock.Advance(300 * time.Millisecond)
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) && b.err != nil {
		b.end()
		err = b.err
	}
	return n, err
}

func (m *uploadModel) append(rt *rapid.T) {
	id, u := m.pickUpload(rt)
	if u == nil || u.done {
		return
	}
	from := u.acked
	if rapid.IntRange(0, 9).Draw(rt, "wrong offset") == 0 {
		from = int64(rapid.IntRange(0, len(u.content)+3).Draw(rt, "offset"))
	}
	start := min(from, int64(len(u.content)))
	piece := u.content[start:]
	piece = piece[:rapid.IntRange(0, len(piece)).Draw(rt, "bytes")]
	end := start + int64(len(piece))
	c := files.Chunk{Offset: from, Size: int64(len(piece)), AtLength: true}
	ctx, cancel := context.WithCancel(m.ctx())
	defer cancel()
	line := broken{Reader: bytes.NewReader(piece), clock: m.clock, end: cancel}
	arrives := len(piece)
	if rapid.IntRange(0, 3).Draw(rt, "breaks off") == 0 {
		arrives = rapid.IntRange(0, len(piece)).Draw(rt, "after")
		line.Reader, line.err = bytes.NewReader(piece[:arrives]), io.ErrUnexpectedEOF
	}
	switch rapid.IntRange(0, 4).Draw(rt, "checksum") {
	case 0: // right
		sum := sha256.Sum256(piece)
		c.Check, c.Sum = sha256.New(), sum[:]
	case 1: // wrong: other bytes come than were announced
		c.Check, c.Sum = sha256.New(), make([]byte, sha256.Size)
		line.Reader = bytes.NewReader(bytes.Repeat([]byte{0xee}, arrives))
	}
	if !u.length && end == int64(len(u.content)) {
		total := int64(len(u.content))
		c.Length, u.length = &total, true
		if rapid.Bool().Draw(rt, "last instead of a length") {
			c.Length, c.Last, c.AtLength = nil, true, false
		}
		u.length = false // only known to be known when it is answered
	}
	c.Content = line
	u.tried = max(u.tried, end)
	up, err := m.service.AppendUpload(ctx, modelOwner, id, c)
	if errors.Is(err, context.Canceled) && !errors.Is(err, ErrCrash) && c.Sum == nil && up.Offset != from+int64(arrives) {
		rt.Fatalf("a line that broke off after %d at %d leaves the upload at %d", arrives, from, up.Offset)
	}
	m.judge(rt, id, u, c, up, err)
}

// judge holds an answer to what may be answered.
func (m *uploadModel) judge(rt *rapid.T, id files.UploadID, u *sending, c files.Chunk, up files.Upload, err error) {
	var at *files.OffsetError
	wrongSum := c.Sum != nil && bytes.Equal(c.Sum, make([]byte, sha256.Size))
	switch {
	case err == nil:
		if want := c.Offset + c.Size; up.Offset != want || wrongSum && c.Size > 0 {
			rt.Fatalf("append of %d at %d is acknowledged as %d (wrong checksum: %v)", c.Size, c.Offset, up.Offset, wrongSum)
		}
		m.acknowledge(rt, u, up)
	case errors.Is(err, ErrCrash):
		m.restart(rt)
	case errors.As(err, &at):
		if at.Offset == c.Offset || at.Offset < u.acked || at.Offset > u.tried {
			rt.Fatalf("refused %d: stands at %d; acknowledged %d, sent %d", c.Offset, at.Offset, u.acked, u.tried)
		}
		u.acked = at.Offset
	case errors.Is(err, files.ErrChecksum):
		if !wrongSum {
			rt.Fatalf("a right checksum is refused")
		}
	case errors.Is(err, files.ErrUploadComplete): // the last answer was lost
	case errors.Is(err, files.ErrUploadOverrun), errors.Is(err, files.ErrUploadLength):
		rt.Fatalf("a chunk within the upload is refused: %v", err)
	default:
		m.mayFail(rt, id, u, err)
	}
}

// acknowledge remembers what an answer tells.
func (m *uploadModel) acknowledge(rt *rapid.T, u *sending, up files.Upload) {
	if up.Offset < u.acked || up.Offset > max(u.tried, u.acked) {
		rt.Fatalf("upload stands at %d; %d were acknowledged, %d sent", up.Offset, u.acked, u.tried)
	}
	u.acked, u.heard = up.Offset, m.clock.Now()
	u.length = u.length || up.Length >= 0
	if up.State != files.UploadDone || u.done {
		return
	}
	u.done = true
	f := m.row(rt, up.File)
	m.want[up.File] = kept{content: u.content, etag: f.ETag(), name: "a"}
}

// mayFail passes what can happen to anyone: a line that breaks, a quota, an upload that waited too long.
func (m *uploadModel) mayFail(rt *rapid.T, id files.UploadID, u *sending, err error) {
	switch {
	case errors.Is(err, ErrCrash):
		m.restart(rt)
	case errors.Is(err, context.Canceled): // broke off
	case errors.Is(err, fault.Of(fault.QuotaExceeded)) && m.quota > 0:
	case errors.Is(err, fault.Of(fault.Gone)), errors.Is(err, fault.Of(fault.NotFound)):
		if !u.ended && m.clock.Now().Sub(u.heard) < 23*time.Hour {
			rt.Fatalf("upload %s is gone: %v", id, err)
		}
		delete(m.sent, id)
	default:
		rt.Fatalf("upload %s: %v", id, err)
	}
}

func (m *uploadModel) stat(rt *rapid.T) {
	id, u := m.pickUpload(rt)
	if u == nil {
		return
	}
	up, err := m.service.StatUpload(m.ctx(), modelOwner, id)
	if err != nil {
		m.mayFail(rt, id, u, err)
		return
	}
	m.acknowledge(rt, u, up)
}

func (m *uploadModel) end(rt *rapid.T) {
	id, u := m.pickUpload(rt)
	if u == nil || rapid.IntRange(0, 3).Draw(rt, "really") > 0 {
		return
	}
	if u.tried == int64(len(u.content)) && !u.done { // it may have become a file whose name we were not told
		return
	}
	u.ended = true
	err := m.service.EndUpload(m.ctx(), modelOwner, id)
	if err != nil {
		m.mayFail(rt, id, u, err)
		return
	}
	delete(m.sent, id)
}

// complete brings an upload to its end, as a client does that comes back.
func (m *uploadModel) complete(rt *rapid.T, id files.UploadID) {
	m.quota = 0
	u := m.sent[id]
	up, err := m.service.StatUpload(m.ctx(), modelOwner, id)
	if err != nil {
		m.mayFail(rt, id, u, err)
		return
	}
	m.acknowledge(rt, u, up)
	if u.done {
		return
	}
	total := int64(len(u.content))
	u.tried = total
	up, err = m.service.AppendUpload(m.ctx(), modelOwner, id, files.Chunk{
		Offset: u.acked, Size: total - u.acked, Length: &total, AtLength: true, Content: bytes.NewReader(u.content[u.acked:]),
	})
	if err != nil {
		rt.Fatalf("complete upload %s: %v", id, err)
	}
	if m.acknowledge(rt, u, up); !u.done {
		rt.Fatalf("upload %s has all of its bytes and is not done", id)
	}
}
