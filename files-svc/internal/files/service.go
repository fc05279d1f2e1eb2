package files

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// Options is what New can be told; the zero value works.
type Options struct {
	Policy         func() Policy    // asked at the start and at the commit of each upload; nil: no limits
	Meter          Meter            // nil: nobody listens
	Now            func() time.Time // nil: time.Now
	LeaseTTL       time.Duration    // a writer not heard of for this long is dead; default 30 s
	ReapEvery      time.Duration    // default 1 min
	RestoreHorizon time.Duration    // how long bytes outlive their last row, so that a backup of the catalog finds them; default 24 h, negative: not at all
	TombstoneFor   time.Duration    // how long a zombie writer is waited for; default 24 h
	NewUploadID    func() string    // at least 128 random bits, safe in a path; nil: 130 bits

	// Barred reports whether an owner is blocked or deleted: their links open nothing then. An error is passed on. nil:
	// nobody is. It is asked for each download by link and must not block.
	Barred func(owner OwnerID) (bool, error)

	Scrub ScrubPace // how stored bytes are read back while Run runs; zero: not at all
	Scan  Scan      // who looks into contents before they are kept; zero: nobody

	Turns Turns // of processes that share the catalog and the bytes; nil: there is only this one
	Holds Holds // likewise

	LinkPasswordRounds int // of PBKDF2; default 600000

	At func(step string) error // called at each named step (Steps); an error ends the operation there. For tests and the chaos matrix
}

func (o Options) withDefaults() Options {
	if o.Policy == nil {
		o.Policy = func() Policy { return Policy{} }
	}
	if o.Meter == nil {
		o.Meter = deaf{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewUploadID == nil {
		o.NewUploadID = newUploadID
	}
	if o.Barred == nil {
		o.Barred = func(OwnerID) (bool, error) { return false, nil }
	}
	if o.At == nil {
		o.At = func(string) error { return nil }
	}
	if o.LinkPasswordRounds <= 0 {
		o.LinkPasswordRounds = linkPasswordRounds
	}
	setDefault(&o.LeaseTTL, 30*time.Second)
	setDefault(&o.ReapEvery, time.Minute)
	setDefault(&o.Scrub.Every, 30*24*time.Hour)
	setDefault(&o.TombstoneFor, 24*time.Hour)
	if o.RestoreHorizon == 0 {
		o.RestoreHorizon = 24 * time.Hour
	}
	return o
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Service is the files core. Its methods are safe for concurrent use.
//
// Every method that takes an owner expects the caller in ctx (principal.With). It returns fault.Unauthenticated when there
// is none, fault.Forbidden when the caller lacks the right (`files:read`, `create`, `update`, `delete`; scope self for
// own files), and fault.NotFound for another person's file.
type Service struct {
	catalog Catalog
	blobs   Blobs
	newID   func() string
	nfc     func(string) string
	log     *slog.Logger
	opts    Options
	inbound *buffers // uploads' and downloads' buffers are apart, so that slow readers can't slow writers down
	outward *buffers

	uploads *uploadLocks
	once    *underWay

	freeing    claims
	links      *linkWatch
	stretching chan struct{} // holds one for each password that is being hashed

	scrubbing *buffers
	suspects  chan BlobID
	reading   atomic.Int64 // contents that are open: the scrub steps back for them

	writing  sync.Mutex // guards writer
	writer   *writer
	unlisted atomic.Int64 // see writer
	reaping  sync.Mutex   // guards sights: one pass at a time
	sights   sights
}

// New makes the core over its stores. newID makes UUIDv7 texts; nfc brings a text into Unicode normal form C. It starts
// nothing: Run does.
func New(catalog Catalog, blobs Blobs, newID func() string, nfc func(string) string, log *slog.Logger, opts Options) (*Service, error) {
	if catalog == nil || blobs == nil || newID == nil || nfc == nil || log == nil {
		return nil, errors.New("files: a required part is missing")
	}
	return &Service{
		catalog: catalog, blobs: blobs, newID: newID, nfc: nfc, log: log, opts: opts.withDefaults(),
		inbound: newBuffers(), outward: newBuffers(), sights: newSights(), uploads: newUploadLocks(), once: newUnderWay(),
		scrubbing: newBuffers(), suspects: make(chan BlobID, maxSuspects), links: newLinkWatch(), stretching: make(chan struct{}, linkPasswordsAtATime),
	}, nil
}

// Ready reports whether the catalog answers.
func (s *Service) Ready(ctx context.Context) error {
	return s.catalog.Read(ctx, func(tx ReadTx) error {
		_, err := tx.LogPosition(ctx)
		return err
	})
}

// now is the time as rows keep it.
func (s *Service) now() time.Time { return s.opts.Now().UTC().Truncate(time.Microsecond) }

// allow is the one door: nobody touches files without passing it. A caller who lacks the right on own files hears
// Forbidden; one who reaches for another's files learns nothing.
func (s *Service) allow(ctx context.Context, owner OwnerID, action string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p, ok := principal.From(ctx)
	if !ok || p.UserID == "" {
		return fault.New(fault.Unauthenticated, "authentication required")
	}
	own := OwnerID(p.UserID) == owner
	switch {
	case p.May("files", action, own):
		return nil
	case own:
		return fault.New(fault.Forbidden, "you may not do this with files")
	default:
		return errNoFile()
	}
}

func errNoFile() error { return fault.New(fault.NotFound, "no such file") }

// deaf is the meter nobody listens to.
type deaf struct{}

func (deaf) Uploaded(context.Context, string, int64, time.Duration) {}
func (deaf) Reaped(string, int)                                     {}
func (deaf) PassEnded(time.Duration, error)                         {}
func (deaf) Blobs(map[BlobState]BlobStat)                           {}
func (deaf) OpenUploads(UploadStats)                                {}
func (deaf) Corrupt()                                               {}
