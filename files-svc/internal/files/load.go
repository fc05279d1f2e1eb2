package files

// Load is how full the bounded things of this process are, for metrics.
type Load struct {
	LinkPasswords  int // passwords of links being hashed; at most linkPasswordsAtATime, others wait
	Suspects       int // damaged blobs waiting for their second look; at most maxSuspects, others are left to the scrub
	KeyedRequests  int // requests with an Idempotency-Key under way
	LinkDownloads  int // downloads by link being watched
	WorkingUploads int // requests that work on a resumable upload
	UnlistedRows   int // rows of ended uploads beyond maxLeft, since the start: they wait until the epoch is fenced

	// Big buffers that are lent, at most maxBigBuffers to each kind of copy; others make do with small ones.
	UploadBuffers, DownloadBuffers, ScrubBuffers int
}

// Load tells it at this moment.
func (s *Service) Load() Load {
	return Load{
		LinkPasswords: len(s.stretching), Suspects: len(s.suspects), KeyedRequests: s.once.count(),
		LinkDownloads: s.links.count(), WorkingUploads: s.uploads.count(), UnlistedRows: int(s.unlisted.Load()),
		UploadBuffers: s.inbound.bigOut(), DownloadBuffers: s.outward.bigOut(), ScrubBuffers: s.scrubbing.bigOut(),
	}
}

func (u *underWay) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.keys)
}

func (w *linkWatch) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.running)
}

func (l *uploadLocks) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}
