package files

import "context"

// Turns lets one at a time of the processes that share a catalog do a kind of work.
type Turns interface {
	// Take waits until it is this process's turn at a work, runs fn and returns its error. fn's context ends when the turn
	// is lost; then fn is run again at the next one. For a moment two may believe that it is theirs.
	Take(ctx context.Context, work string, fn func(context.Context) error) error
}

// The works that are done by one process at a time.
const (
	reaperTurn = "reaper"
	scrubTurn  = "scrub"
)

// Holds is how processes that share a catalog see to it that one request at a time works on an upload: what
// uploadLocks is within one. It keeps an upload from standing still, not from harm: for that its row has a revision.
type Holds interface {
	// Hold waits until no other process works on the upload, having asked for it, and makes it this one's until release.
	// interrupt is called, soon and maybe more than once, when another asks. It returns fault.Unavailable when the
	// other does not let go.
	Hold(ctx context.Context, id UploadID, interrupt func()) (release func(), err error)
	// Held reports whether a process works on the upload. One that has died does so for a few seconds more.
	Held(ctx context.Context, id UploadID) (bool, error)
}

// inTurn runs work when it is this process's turn.
func (s *Service) inTurn(ctx context.Context, name string, work func(context.Context) error) error {
	if s.opts.Turns == nil {
		return work(ctx)
	}
	return s.opts.Turns.Take(ctx, name, work)
}

// holdUpload is the part of takeUpload that the other processes see.
func (s *Service) holdUpload(ctx context.Context, id UploadID, interrupt func(error)) (release func(), err error) {
	if s.opts.Holds == nil {
		return func() {}, nil
	}
	return s.opts.Holds.Hold(ctx, id, func() {
		if interrupt != nil {
			interrupt(errTakenOver)
		}
	})
}

// heldUpload reports whether another process works on an upload that nobody works on in this one.
func (s *Service) heldUpload(ctx context.Context, id UploadID) (bool, error) {
	if s.opts.Holds == nil {
		return false, nil
	}
	return s.opts.Holds.Held(ctx, id)
}
