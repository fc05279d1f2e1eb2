package httpapi

import (
	"io/fs"
	"sync"
	"time"

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
// them without us until that is too long ago or somebody has written to the bytes meanwhile.
type verified struct {
	mu     sync.Mutex
	stamps map[files.BlobID]stamp
	now    func() time.Time
}

type stamp struct{ modified, read time.Time }

func newVerified(now func() time.Time) *verified {
	return &verified{stamps: map[files.BlobID]stamp{}, now: now}
}

// holds reports whether the content need not be verified again. A store that can't say when its bytes were written last
// gets no credit.
func (v *verified) holds(c *files.Content) bool {
	modified, ok := modifiedAt(c)
	if !ok || c.File.Size <= alwaysVerify {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.stamps[c.File.Blob]
	return ok && s.modified.Equal(modified) && v.now().Sub(s.read) < verifiedFor
}

// note remembers a full read that was well.
func (v *verified) note(c *files.Content) {
	modified, ok := modifiedAt(c)
	if !ok || c.File.Size <= alwaysVerify {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.stamps) >= maxVerified {
		for id := range v.stamps { // any will do: the price of a wrong one is a hash
			delete(v.stamps, id)
			break
		}
	}
	v.stamps[c.File.Blob] = stamp{modified, v.now()}
}

func modifiedAt(c *files.Content) (time.Time, bool) {
	body, ok := c.Body.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return time.Time{}, false
	}
	info, err := body.Stat()
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime(), true
}
