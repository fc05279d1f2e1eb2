package files

import "testing"

func TestWriter_CountsRowsItDoesNotTellTheReaperOf(t *testing.T) {
	s := &Service{once: newUnderWay(), links: newLinkWatch(), uploads: newUploadLocks(), inbound: newBuffers(), outward: newBuffers(), scrubbing: newBuffers()}
	w := &writer{epoch: "0199d3f0-7a51-7c3e-9b1c-6f2a5d0e4b7a", left: map[BlobID]struct{}{}, unlisted: &s.unlisted}
	for seq := range int64(maxLeft) {
		w.leave(NewBlobID(w.epoch, seq+1))
	}
	if n := s.Load().UnlistedRows; n != 0 {
		t.Errorf("%d are unlisted although there was room", n)
	}
	w.leave(NewBlobID(w.epoch, maxLeft+1))
	w.leave(NewBlobID(w.epoch, maxLeft+2))
	if n := s.Load().UnlistedRows; n != 2 || len(w.leftovers()) != maxLeft {
		t.Errorf("%d are unlisted and %d listed, want 2 and %d", n, len(w.leftovers()), maxLeft)
	}
}
