package files

import (
	"context"
	"io"
	"log/slog"
	"time"

	"cloakroom.dev/libs/fault"
)

// UnknownSize is the declared size of a content whose length nobody has said.
const UnknownSize = -1

// SmallBytes is the size up to which an upload has no row of its own before its commit: its writer's epoch stands for
// it, and no more than this much is received before quota is looked at.
const SmallBytes = 1 << 20

// Options is what New can be told; the zero value works.
type Options struct {
	Policy         func() Policy           // asked at the start and at the commit of each upload; nil: no limits
	Meter          Meter                   // nil: nobody listens
	Now            func() time.Time        // nil: time.Now
	LeaseTTL       time.Duration           // a writer not heard of for this long is dead; default 30 s
	ReapEvery      time.Duration           // default 1 min
	RestoreHorizon time.Duration           // how long bytes outlive their last row, so that a backup of the catalog finds them; default 0
	TombstoneFor   time.Duration           // how long a zombie writer is waited for; default 1 h
	KeepEvents     time.Duration           // default 30 days
	At             func(step string) error // called at each named step (Steps); an error ends the operation there. For tests and the chaos matrix
}

// Service is the files core. Its methods are safe for concurrent use.
//
// Every method that takes an owner expects the caller in ctx (principal.With). It returns fault.Unauthenticated when there
// is none, fault.Forbidden when the caller lacks the right (`files:read`, `create`, `update`, `delete`; scope self for
// own files), and fault.NotFound for another person's file.
type Service struct{}

// New makes the core over its stores. newID makes UUIDv7 texts; nfc brings a text into Unicode normal form C. It starts
// nothing: Run does.
func New(catalog Catalog, blobs Blobs, newID func() string, nfc func(string) string, log *slog.Logger, opts Options) (*Service, error) {
	return &Service{}, nil
}

// NewFile says what is being handed in.
type NewFile struct {
	Name        string
	ContentType string // empty: application/octet-stream
	Metadata    Metadata
	ExpiresAt   time.Time // zero: never
	Size        int64     // as declared, or UnknownSize. Zero means an empty file
	Digest      *Digest   // expected; nil: none was declared
	NewName     bool      // refuse when a file of this name exists (If-None-Match: *)
}

// Create stores a new file and returns it once it is durable.
//
// It refuses with fault.Invalid (name, type, metadata, expiry, or a content that ends early or goes on past its declared
// size), UnsupportedMediaType, TooLarge (by the declared size before the first byte, else while streaming), QuotaExceeded,
// DigestMismatch, PreconditionFailed (NewName), StorageFull, Unavailable, Timeout (content failed with os.ErrDeadlineExceeded);
// with the cause of ctx when that ended. Then nothing of it shows, ever. A fault returned by content is passed on as it is.
func (s *Service) Create(ctx context.Context, owner OwnerID, f NewFile, content io.Reader) (File, error) {
	return File{}, fault.New(fault.Unavailable, "not yet")
}

// NewContent says what is being put in the place of a file's content.
type NewContent struct {
	ContentType string   // empty: as it was
	Size        int64    // as declared, or UnknownSize
	Digest      *Digest  // expected; nil: none was declared
	IfMatch     []string // entity tags with their quotes, one of which the content must have; {"*"}: any; nil: no condition
}

// Replace stores a new version of a file and returns the file once it is durable. Readers of the old version finish it.
// Of two replaces under one IfMatch one wins, the other gets fault.PreconditionFailed. It refuses like Create, and with
// fault.NotFound when the file is not there or is in the trash.
func (s *Service) Replace(ctx context.Context, owner OwnerID, id FileID, c NewContent, content io.Reader) (File, error) {
	return File{}, fault.New(fault.Unavailable, "not yet")
}

// Get finds a file outside the trash. It returns fault.NotFound when there is none, or not for this caller.
func (s *Service) Get(ctx context.Context, owner OwnerID, id FileID) (File, error) {
	return File{}, fault.New(fault.Unavailable, "not yet")
}

// FileChange says what to change about a file; nil fields stay as they are.
type FileChange struct {
	Name      *string
	Metadata  *Metadata  // takes the place of the whole map
	ExpiresAt *time.Time // the zero time: never
}

// Update changes what is said about a file; its content stays.
func (s *Service) Update(ctx context.Context, owner OwnerID, id FileID, c FileChange) (File, error) {
	return File{}, fault.New(fault.Unavailable, "not yet")
}

// Delete moves a file to the trash, or removes it with all its versions at once when permanent is set (then a file in the
// trash is found too). Readers finish. It returns fault.NotFound when there is no such file.
func (s *Service) Delete(ctx context.Context, owner OwnerID, id FileID, permanent bool) error {
	return fault.New(fault.Unavailable, "not yet")
}

// Content is an open content. Close it.
type Content struct {
	File File // as it was when it was opened; ETag, Size, SHA256 and ContentAt are the content's
	// Body reads the bytes as they are in the store. On a local disk it has the methods of *os.File: hand it to
	// io.CopyN or http.ServeContent as it is, and the kernel sends it.
	Body BlobSource
}

// Verified reads the content from its first byte and checks its digest on the way: when it is wrong, or bytes are missing,
// Read and WriteTo fail before the last byte is out. It also fails when the context of Open ends. Use it for full reads.
func (c *Content) Verified() io.Reader { return c.Body }

// Close ends the reading.
func (c *Content) Close() error { return c.Body.Close() }

// Open opens the content of a file outside the trash. Neither replace nor delete disturbs it. Bytes that are missing are an
// internal error and an alert, never an empty content.
func (s *Service) Open(ctx context.Context, owner OwnerID, id FileID) (*Content, error) {
	return nil, fault.New(fault.Unavailable, "not yet")
}

// Usage tells what the owner's files take and may take.
func (s *Service) Usage(ctx context.Context, owner OwnerID) (Usage, error) {
	return Usage{}, fault.New(fault.Unavailable, "not yet")
}

// EraseOwner removes everything of a person, for good, and stores nothing for them ever again. It needs no caller in ctx: the
// revocation log asks for it. It can be repeated.
func (s *Service) EraseOwner(ctx context.Context, owner OwnerID) error {
	return fault.New(fault.Unavailable, "not yet")
}

// LogPosition is the position in the revocation log that SetLogPosition kept last; 0 before.
func (s *Service) LogPosition(ctx context.Context) (int64, error) {
	return 0, fault.New(fault.Unavailable, "not yet")
}

// SetLogPosition keeps how far the revocation log has been worked off. Call it after EraseOwner has returned.
func (s *Service) SetLogPosition(ctx context.Context, seq int64) error {
	return fault.New(fault.Unavailable, "not yet")
}

// Ready reports whether the catalog answers.
func (s *Service) Ready(ctx context.Context) error {
	return fault.New(fault.Unavailable, "not yet")
}

// Run keeps this writer's lease and reaps until ctx ends; then it fences its own epoch, so end it after the last upload.
func (s *Service) Run(ctx context.Context) error {
	return fault.New(fault.Unavailable, "not yet")
}
