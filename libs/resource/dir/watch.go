package dir

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"cloakroom.dev/libs/resource"

	"github.com/fsnotify/fsnotify"
)

const (
	// patience is how many times longer a change that takes objects away must stand still.
	patience = 5

	// restless bounds the wait for a folder that is never quiet, in settle times.
	restless = 50

	// blindRescan replaces Rescan when the system tells no file events.
	blindRescan = 2 * time.Second
)

// Watch follows the folder until ctx ends. changed may be called with a snapshot that Load has already given out, when
// another caller's Watch saw it first.
func (s *Source) Watch(ctx context.Context, changed func(*resource.Snapshot)) error {
	files := s.notify(ctx)
	defer files.close()
	rescan := s.opts.Rescan
	if files.blind() {
		rescan = min(rescan, blindRescan)
	}
	tick := time.NewTicker(rescan)
	defer tick.Stop()

	w := &watcher{source: s, timer: time.NewTimer(time.Hour)}
	defer w.timer.Stop()
	w.sign(time.Now()) // what happened between Load and now is a change as well
	s.mu.Lock()
	last := s.first
	s.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-files.events:
			if concerns(e) {
				w.sign(time.Now())
			}
			continue
		case err := <-files.errors:
			s.log.WarnContext(ctx, "file events lost, looking at the whole folder", "error", err.Error())
			w.sign(time.Now())
			continue
		case <-tick.C:
			files.follow(s.folder)
			w.poll()
		case <-w.timer.C:
			w.quiet(ctx)
		}
		s.mu.Lock()
		now := s.ledger.Snapshot()
		s.mu.Unlock()
		if now != last {
			last = now
			changed(now)
		}
	}
}

// fileEvents are the system's events for a folder; the channels are nil where it tells none.
type fileEvents struct {
	watcher *fsnotify.Watcher
	events  <-chan fsnotify.Event
	errors  <-chan error
}

// notify starts file events. Without them (too many watches on this machine) the periodic look has to do.
func (s *Source) notify(ctx context.Context) fileEvents {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.WarnContext(ctx, "no file events, looking at the folder periodically", "error", err.Error(), "seconds", blindRescan.Seconds())
		return fileEvents{}
	}
	files := fileEvents{w, w.Events, w.Errors}
	files.follow(s.folder)
	return files
}

func (f fileEvents) blind() bool { return f.watcher == nil }

// follow watches the folder again in case it was deleted and made anew; on a watched folder it does nothing.
func (f fileEvents) follow(folder string) {
	if f.watcher != nil {
		_ = f.watcher.Add(folder) // a folder that is gone is told by reading it
	}
}

func (f fileEvents) close() {
	if f.watcher != nil {
		_ = f.watcher.Close()
	}
}

// concerns leaves out what can't change a resource: access modes, editors' hidden files.
func concerns(e fsnotify.Event) bool {
	name := filepath.Base(e.Name)
	return e.Op != fsnotify.Chmod && (!strings.HasPrefix(name, ".") || name == "..data")
}

// watcher decides when a changed folder has come to rest.
type watcher struct {
	source  *Source
	timer   *time.Timer
	since   time.Time // the first sign of the present unrest; zero when there is none
	last    time.Time // the latest sign
	glimpse string    // fingerprint of the last reading that was not taken
}

// sign notes that something happened at the folder.
func (w *watcher) sign(now time.Time) {
	if w.since.IsZero() {
		w.since = now
	}
	w.last = now
	if now.Sub(w.since) < restless*w.source.opts.Settle {
		w.timer.Reset(w.source.opts.Settle)
	}
}

// poll looks without being told of an event.
func (w *watcher) poll() {
	r, err := read(w.source.folder, w.source.opts.Kinds)
	if err != nil || r.fingerprint != w.source.fingerprint() {
		w.glimpse = r.fingerprint
		w.sign(time.Now())
	}
}

// quiet runs when no sign came for a while: read, and take it unless it still moves or takes something away too soon.
func (w *watcher) quiet(ctx context.Context) {
	s, now := w.source, time.Now()
	r, err := read(s.folder, s.opts.Kinds)
	if err != nil {
		s.unreadable(ctx, err)
		w.since = time.Time{}
		return
	}
	overdue := now.Sub(w.since) >= restless*s.opts.Settle
	switch {
	case r.fingerprint == s.fingerprint():
		s.readable()
	case !overdue && w.glimpse != "" && r.fingerprint != w.glimpse,
		!overdue && now.Sub(w.last) < patience*s.opts.Settle && s.removes(r):
		if r.fingerprint != w.glimpse {
			w.last = now
		}
		w.glimpse = r.fingerprint
		w.timer.Reset(s.opts.Settle)
		return
	default:
		s.take(ctx, r)
	}
	w.since, w.glimpse = time.Time{}, ""
}
