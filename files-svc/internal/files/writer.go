package files

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cloakroom.dev/libs/fault"
)

// writer is one epoch of this process: it hands out blob ids and knows which of them are under way.
type writer struct {
	epoch EpochID

	mu       sync.Mutex
	next     int64 // the number of the next blob
	busy     map[int64]struct{}
	left     map[BlobID]struct{} // ended with a pending row that could not be cleaned up
	unlisted *atomic.Int64       // the service's: counts those there was no room for
	settled  int64               // as far as the reaper has seen to; the beat makes it durable

	late      int64     // the lowest number whose bytes may still come; 0: there is none
	lateUntil time.Time // when the last of them has come, or never will
}

// lateFor is how long after a store has failed to say so it may still make an object of an upload: longer than any store
// works on one request.
const lateFor = 15 * time.Minute

// maxLeft bounds writer.left; rows beyond it wait until the epoch is fenced.
const maxLeft = 4096

// begin hands out an id. The reaper leaves its bytes alone until end.
func (w *writer) begin() BlobID {
	w.mu.Lock()
	defer w.mu.Unlock()
	seq := w.next
	w.next++
	w.busy[seq] = struct{}{}
	return NewBlobID(w.epoch, seq)
}

// end says that nothing more will be done under id.
func (w *writer) end(id BlobID) {
	_, seq, _ := id.Split()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, seq)
}

// expectLate says, before end, that nobody knows what the store has made of id: its bytes may come until a moment.
func (w *writer) expectLate(id BlobID, until time.Time) {
	_, seq, _ := id.Split()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.late == 0 || seq < w.late {
		w.late = seq
	}
	if until.After(w.lateUntil) {
		w.lateUntil = until
	}
}

// final is the number below which a walk that begins now sees all bytes there will ever be.
func (w *writer) final(now time.Time) int64 {
	low := w.horizon()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.late != 0 && now.Before(w.lateUntil) {
		return min(low, w.late)
	}
	w.late = 0
	return low
}

// leave gives the pending row of an upload that has ended to the reaper.
func (w *writer) leave(id BlobID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.left) >= maxLeft {
		w.unlisted.Add(1)
		return
	}
	w.left[id] = struct{}{}
}

// leftovers are the rows given to the reaper; done takes one off the list.
func (w *writer) leftovers() []BlobID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.left))
}

func (w *writer) done(id BlobID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.left, id)
}

func (w *writer) isBusy(id BlobID) bool {
	_, seq, _ := id.Split()
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.busy[seq]
	return ok
}

// working reports whether any upload is under way.
func (w *writer) working() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.busy) > 0
}

// horizon is the number below which every upload has ended.
func (w *writer) horizon() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	low := w.next
	for seq := range w.busy {
		low = min(low, seq)
	}
	return low
}

func (w *writer) settle(seq int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settled = seq
}

func (w *writer) settledBelow() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settled
}

// currentWriter returns this process's writer; the first call of an epoch makes its row durable before any blob of it
// has a byte.
func (s *Service) currentWriter(ctx context.Context) (*writer, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.writer != nil {
		return s.writer, nil
	}
	epoch := Epoch{ID: EpochID(s.newID()), State: EpochOpen, ChangedAt: s.now()}
	err := s.catalog.Write(ctx, func(tx Tx) error { return tx.InsertEpoch(ctx, epoch) })
	if err != nil {
		return nil, fmt.Errorf("open a writer epoch: %w", err)
	}
	s.writer = &writer{epoch: epoch.ID, next: 1, settled: 1, busy: map[int64]struct{}{}, left: map[BlobID]struct{}{}, unlisted: &s.unlisted}
	s.log.InfoContext(ctx, "writer epoch opened", "epoch", epoch.ID)
	return s.writer, nil
}

// dropWriter forgets a writer that has been fenced: the next upload opens a new epoch.
func (s *Service) dropWriter(w *writer) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.writer == w {
		s.writer = nil
		s.log.Warn("writer epoch was fenced by another process", "epoch", w.epoch)
	}
}

// liveWriter is the writer of this process, or nil.
func (s *Service) liveWriter() *writer {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.writer
}

// errFenced is what the uploads of a fenced epoch hear.
func errFenced() error {
	return fault.Retry(fault.Unavailable, "the upload was interrupted, send it again", time.Second)
}

// beat tells the others that this writer lives, and keeps how far it is settled.
func (s *Service) beat(ctx context.Context) error {
	w, err := s.currentWriter(ctx)
	if err != nil {
		return err
	}
	settled := w.settledBelow()
	err = s.catalog.Write(ctx, func(tx Tx) error {
		e, err := tx.Epoch(ctx, w.epoch)
		if err != nil {
			return err
		}
		e.Beats++
		e.Settled = settled
		return tx.UpdateEpoch(ctx, e, EpochOpen)
	})
	if errors.Is(err, fault.Of(fault.Conflict)) || errors.Is(err, fault.Of(fault.NotFound)) {
		s.dropWriter(w)
	}
	if err != nil {
		return fmt.Errorf("renew the writer's lease: %w", err)
	}
	return nil
}

// resign fences this writer's own epoch, so that what it left can be searched at once.
func (s *Service) resign(ctx context.Context) error {
	w := s.liveWriter()
	if w == nil {
		return nil
	}
	settled := w.settledBelow()
	err := s.catalog.Write(ctx, func(tx Tx) error {
		e, err := tx.Epoch(ctx, w.epoch)
		if err != nil {
			return err
		}
		e.State, e.Settled, e.ChangedAt = EpochFenced, settled, s.now()
		return tx.UpdateEpoch(ctx, e, EpochOpen)
	})
	if err != nil {
		return fmt.Errorf("fence the writer's own epoch: %w", err)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.writer == w {
		s.writer = nil
	}
	return nil
}
