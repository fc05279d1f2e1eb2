package files

import (
	"testing"
	"time"
)

func TestBuffers(t *testing.T) {
	pool := newBuffers()
	size := func(b *buffer, full bool, took time.Duration) int {
		b.adapt(full, took)
		return len(b.bytes())
	}
	b := pool.take()
	for _, step := range []struct {
		full bool
		took time.Duration
		want int
	}{
		{false, 0, smallBuffer},          // little came: stay small
		{true, parkedAfter, smallBuffer}, // it came slowly: stay small
		{true, 0, bigBuffer},             // it flows
		{false, 0, bigBuffer},
		{true, parkedAfter, smallBuffer}, // it stalled: somebody else may have the big one
	} {
		if got := size(b, step.full, step.took); got != step.want {
			t.Errorf("full %v after %v: got %d bytes, want %d", step.full, step.took, got, step.want)
		}
	}
	var lent []*buffer
	for range maxBigBuffers + 3 {
		b := pool.take()
		b.adapt(true, 0)
		lent = append(lent, b)
	}
	if got := len(lent[maxBigBuffers].bytes()); got != smallBuffer || pool.bigOut() != maxBigBuffers {
		t.Errorf("beyond the bound a copy got %d bytes; %d lent", got, pool.bigOut())
	}
	for _, b := range lent {
		b.release()
		b.release()
	}
	if pool.bigOut() != 0 {
		t.Errorf("%d buffers were not given back", pool.bigOut())
	}
}

func TestLoad_TellsBigBuffersOfEachKindOfCopy(t *testing.T) {
	s := &Service{inbound: newBuffers(), outward: newBuffers(), scrubbing: newBuffers(), once: newUnderWay(), links: newLinkWatch(), uploads: newUploadLocks()}
	for n, pool := range []*buffers{s.inbound, s.outward, s.scrubbing} {
		for range n + 1 {
			b := pool.take()
			b.adapt(true, 0)
			defer b.release()
		}
	}
	if l := s.Load(); l.UploadBuffers != 1 || l.DownloadBuffers != 2 || l.ScrubBuffers != 3 {
		t.Errorf("%d for uploads, %d for downloads, %d for the scrub; want 1, 2 and 3", l.UploadBuffers, l.DownloadBuffers, l.ScrubBuffers)
	}
}
