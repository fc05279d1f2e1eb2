package crashtest

import (
	"context"
	"sync"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

// firstPass is a files.Meter that waits for the pass with which the reaper begins.
type firstPass struct {
	ended chan struct{}
	once  sync.Once
}

func newFirstPass() *firstPass { return &firstPass{ended: make(chan struct{})} }

var _ files.Meter = (*firstPass)(nil)

// PassEnded implements files.Meter.
func (p *firstPass) PassEnded(time.Duration, error) { p.once.Do(func() { close(p.ended) }) }

// The rest of files.Meter is of no interest here.

func (*firstPass) Uploaded(context.Context, string, int64, time.Duration) {}
func (*firstPass) Reaped(string, int)                                     {}
func (*firstPass) Blobs(map[files.BlobState]files.BlobStat)               {}
func (*firstPass) Corrupt()                                               {}
func (*firstPass) Scrubbed(string, int64)                                 {}
func (*firstPass) Soundness(time.Time, map[files.Flaw]files.BlobStat)     {}
func (*firstPass) Scanned(string)                                         {}
func (*firstPass) OpenUploads(files.UploadStats)                          {}
