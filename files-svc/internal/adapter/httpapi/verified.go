package httpapi

import (
	"io/fs"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/files-svc/internal/files"
)

const (
	// alwaysVerify is the size up to which every full read is verified: hashing that much takes less than a millisecond,
	// and the kernel has little to win by sending it alone.
	alwaysVerify = 1 << 20

	// verifiedFor is how long a full read that was well speaks for the bytes. Disks lose data in months, not in hours.
	verifiedFor = time.Hour

	// maxVerified bounds what is remembered, at 100 bytes each.
	maxVerified = 16 << 10
)

// verified remembers which large contents this process has read through and found whole, so that the kernel may send
// them without us until that is too long ago or somebody has written to the bytes meanwhile; and which it has asked to be
// looked at because parts of them were read.
type verified struct {
	mu     sync.Mutex
	stamps map[files.BlobID]stamp
	now    func() time.Time
}

type stamp struct{ written, read, asked time.Time }

func newVerified(now func() time.Time) *verified {
	return &verified{stamps: map[files.BlobID]stamp{}, now: now}
}

// meter shows how many contents are remembered.
func (v *verified) meter(reg prometheus.Registerer) *verified {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_files_verified_contents", Help: "Large contents known to be whole for an hour, which the kernel sends alone, or looked at within it; at most 16384.",
	}, func() float64 {
		v.mu.Lock()
		defer v.mu.Unlock()
		return float64(len(v.stamps))
	})
	return v
}

// look tells when the bytes were written last, and whether what was read since then speaks for them still. A store that
// can't say when gets no credit, and neither does a content so small that asking is not worth it.
func (v *verified) look(c *files.Content) (written time.Time, holds bool) {
	body, ok := c.Body.(interface{ Stat() (fs.FileInfo, error) })
	if !ok || c.File.Size <= alwaysVerify {
		return time.Time{}, false
	}
	info, err := body.Stat()
	if err != nil {
		return time.Time{}, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.stamps[c.File.Blob]
	return info.ModTime(), ok && s.written.Equal(info.ModTime()) && v.now().Sub(s.read) < verifiedFor
}

// ask reports whether a content should be looked at because parts of it are read: not if it was asked within the hour.
func (v *verified) ask(blob files.BlobID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.stamps[blob]
	if v.now().Sub(s.asked) < verifiedFor {
		return false
	}
	s.asked = v.now()
	v.keep(blob, s)
	return true
}

// note remembers a full read that was well. written is what look said before it, so that a write during the read undoes it.
func (v *verified) note(blob files.BlobID, written time.Time) {
	if written.IsZero() {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.stamps[blob]
	s.written, s.read = written, v.now()
	v.keep(blob, s)
}

// keep remembers a stamp. The caller holds mu.
func (v *verified) keep(blob files.BlobID, s stamp) {
	if _, known := v.stamps[blob]; !known && len(v.stamps) >= maxVerified {
		for id := range v.stamps { // any will do: the price of a wrong one is a hash
			delete(v.stamps, id)
			break
		}
	}
	v.stamps[blob] = s
}
