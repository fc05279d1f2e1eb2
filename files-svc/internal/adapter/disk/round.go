package disk

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
)

// syncsAtATime is how many files of a round are synced at once: enough for the filesystem to serve them with one commit of
// its journal and for the disk to merge their flushes, and few threads that wait in the kernel.
const syncsAtATime = 8

// round is one turn at a directory: the new files of those who share it are synced, and then their names, with one fsync.
// A round takes everybody who came while the last one ran. So uploads of one moment become durable in one moment, and their
// rows share a commit as well.
type round struct {
	done  chan struct{}
	files []*entry // each a file of its own
	small []*entry // for the pack
	names int      // how many names wait that have no file to be synced here
	err   error    // of the directory's sync
}

// entry is a new small blob of a round. err may be read when the round is done.
type entry struct {
	packed packed
	sync   func() error // makes it a file of its own, its bytes durable, when there is no pack to take it
	err    error
}

// sync makes every name durable that was in the directory when it was called. Calls that come while a round is under way
// share the next one, which whoever of them is first runs.
func (d *dir) sync() error {
	return d.share(d.join(nil))
}

// keep makes one small blob durable, together with its neighbours.
func (d *dir) keep(e *entry) error {
	err := d.share(d.join(e))
	if e.err != nil {
		return e.err
	}
	return err
}

func (d *dir) join(e *entry) *round {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next == nil {
		d.next = &round{done: make(chan struct{})}
	}
	switch {
	case e == nil:
		d.next.names++
	case d.owner.opts.NoPacks:
		d.next.files = append(d.next.files, e)
	default:
		d.next.small = append(d.next.small, e)
	}
	return d.next
}

// share waits until a round is over, or runs it.
func (d *dir) share(r *round) error {
	select {
	case <-r.done:
		return r.err
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	}
	select {
	case <-r.done: // somebody was quicker
	default:
		d.run(r)
	}
	return r.err
}

// run syncs for a round. Whoever joins from now on is of the next one.
func (d *dir) run(r *round) {
	runtime.Gosched() // whoever can join right now may
	d.mu.Lock()
	d.next = nil
	d.mu.Unlock()
	d.syncPack(r)
	if left := r.syncFiles() + r.names; d.broken == nil && left > 0 {
		if d.broken = d.owner.opts.sync(d.file); d.broken != nil {
			d.drop()
		}
	}
	r.err = d.broken
	close(r.done)
}

// syncPack brings the small blobs of a round into the pack, or hands them on to be files. A round whose pack fails is refused
// whole.
func (d *dir) syncPack(r *round) {
	if len(r.small) == 0 || d.broken != nil {
		return
	}
	blobs := make([]packed, len(r.small))
	for i, e := range r.small {
		blobs[i] = e.packed
	}
	made, err := d.append(blobs)
	if made {
		r.names++
	}
	if errors.Is(err, errNoPack) {
		r.files = append(r.files, r.small...)
		return
	}
	for _, e := range r.small {
		e.err = err
	}
}

// syncFiles returns how many files are durable now. The failure of one is its own.
func (r *round) syncFiles() int {
	var next, durable atomic.Int64
	work := func() {
		for i := next.Add(1); i <= int64(len(r.files)); i = next.Add(1) {
			e := r.files[i-1]
			if e.err = e.sync(); e.err == nil {
				durable.Add(1)
			}
		}
	}
	var helpers sync.WaitGroup
	for range min(len(r.files), syncsAtATime) - 1 {
		helpers.Go(work)
	}
	work()
	helpers.Wait()
	return int(durable.Load())
}
