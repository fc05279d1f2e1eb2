package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cloakroom.dev/libs/fault"
)

// UploadID names a resumable upload. It is made of at least 128 random bits, so that it can't be guessed; its owner is
// asked for all the same.
type UploadID string

// UploadState is where a resumable upload stands: open → done, and a part goes on to joined.
type UploadState string

// The states of an upload.
const (
	UploadOpen   UploadState = "open"   // bytes may come, or all are there and it is not a file yet
	UploadDone   UploadState = "done"   // it has become a file; or it is a part, and whole
	UploadJoined UploadState = "joined" // a part whose bytes have become another upload's
)

// Upload is one resumable upload: the durable intent, how far its bytes are durable, and what becomes of them. The row
// outlives the upload until ExpiresAt, so that a client that lost the last answer can ask for it again.
type Upload struct {
	ID          UploadID
	Owner       OwnerID
	State       UploadState
	Part        bool       // whole, it waits to be joined with others instead of becoming a file
	Joins       []UploadID // the parts it is joined of
	Into        UploadID   // of a joined part: the upload that has its bytes
	Name        string
	ContentType string
	Metadata    Metadata
	FileExpires time.Time // the file's own expiry; zero: never
	NewName     bool      // no file of this name may exist
	Expected    *Digest   // of all the bytes, as announced; or nil
	Note        string    // the client's own words, told again as they were
	Length      int64     // of all the bytes, or UnknownSize
	Offset      int64     // bytes that are durable
	Sealed      bool      // all bytes are there: what is left is to make them a file
	Hash        []byte    // state of the SHA-256 over the durable bytes; empty at offset 0
	Parts       []byte    // where the store keeps the durable bytes, in its own words; empty when it needs none
	Reserved    int64     // quota held, in bytes
	File        FileID    // what it has become
	CreatedAt   time.Time
	ExpiresAt   time.Time // when it is forgotten, whole or not; every chunk moves it
	Revision    int64     // counts the changes of the row: the fence against an older writer
}

// newFile is what the upload asks for, in the words of an upload in one request.
func (u *Upload) newFile() NewFile {
	return NewFile{
		Name: u.Name, ContentType: u.ContentType, Metadata: u.Metadata, ExpiresAt: u.FileExpires,
		Size: u.Length, Digest: u.Expected, NewName: u.NewName,
	}
}

// UploadReader finds uploads.
type UploadReader interface {
	// Upload finds an upload. It returns fault.NotFound when there is none of this id.
	Upload(ctx context.Context, id UploadID) (Upload, error)
	// DueUploads lists at most q.Limit uploads in the order of their ids that match q.
	DueUploads(ctx context.Context, q DueUploads) ([]Upload, error)
	// OpenUploads counts an owner's open uploads.
	OpenUploads(ctx context.Context, owner OwnerID) (int64, error)
	// UploadStats counts all open uploads and the bytes they reserve.
	UploadStats(ctx context.Context) (UploadStats, error)
}

// UploadStats are the open uploads of everybody.
type UploadStats struct{ Open, Reserved int64 }

// DueUploads asks for uploads behind an id: an owner's, or else all that expired by a moment.
type DueUploads struct {
	Owner         OwnerID
	ExpiredBefore time.Time
	After         UploadID
	Limit         int
}

// UploadWriter changes uploads.
type UploadWriter interface {
	// InsertUpload adds an upload. It returns fault.Conflict when the id has been used.
	InsertUpload(ctx context.Context, u Upload) error
	// UpdateUpload writes u over the row whose revision is u.Revision-1. It returns fault.Conflict when there is none.
	UpdateUpload(ctx context.Context, u Upload) error
	// DeleteUpload removes the row. It returns fault.NotFound when there is none.
	DeleteUpload(ctx context.Context, id UploadID) error
}

// Partials is the store of bytes of uploads that are not whole yet. They lie apart from blobs: a blob never changes.
type Partials interface {
	// AppendPartial opens an upload's bytes for writing behind those of p; where there are none it makes them. What lies
	// beyond does not count any more. It returns fault.NotFound when the bytes of p are not there, and fault.Conflict while
	// anyone else of this process writes them. Writers of other processes either get fault.Conflict too, or what they write
	// counts only for whoever keeps the Parts that their Sync returns.
	AppendPartial(ctx context.Context, p Partial) (PartialSink, error)
	// OpenPartial opens the bytes of p for reading. It returns fault.NotFound when they are not there.
	OpenPartial(ctx context.Context, p Partial) (io.ReadCloser, error)
	// Promote gives the bytes of p, all of them synced, to a blob, durably, and nothing of what is beyond. It fails with
	// fault.NotFound when they are not there. The upload's name for the bytes stays until it is removed; nobody may
	// append to them once the blob is live.
	Promote(ctx context.Context, p Partial, blob BlobID) error
	// RemovePartials forgets the bytes of uploads; a blob they were promoted to keeps them.
	RemovePartials(ctx context.Context, ids []UploadID) error
	// WalkPartials calls fn for each upload that has bytes, until fn fails. fn may remove them.
	WalkPartials(ctx context.Context, fn func(id UploadID) error) error
}

// Partial is what a row knows of an upload's durable bytes.
type Partial struct {
	ID    UploadID
	Size  int64
	Parts []byte // as the Sync that covered exactly Size bytes returned it; nil before the first
}

func (u *Upload) partial() Partial { return Partial{ID: u.ID, Size: u.Offset, Parts: u.Parts} }

// PartialSink takes bytes of one upload. It is used by one goroutine.
type PartialSink interface {
	io.Writer
	// Sync makes every byte written durable: they survive a power cut once it has returned nil. What it returns belongs
	// beside the size in the upload's row; an earlier state stays of use until it is called again. After an error the sink
	// is of no use any more; what an earlier Sync covered is still there.
	Sync(ctx context.Context) (parts []byte, err error)
	// Close ends the writing. Bytes that were not synced may be lost.
	Close() error
}

// Refusals of uploads that dialects tell apart.
var (
	// ErrUploadComplete refuses bytes for an upload that has all of its own.
	ErrUploadComplete = fault.New(fault.Invalid, "the upload is complete")
	// ErrUploadLength refuses a length that contradicts an earlier one, or the bytes that are there.
	ErrUploadLength = fault.New(fault.Invalid, "the length is not the one announced before, or less than what is there")
	// ErrUploadOverrun refuses bytes beyond the upload's length.
	ErrUploadOverrun = fault.New(fault.TooLarge, "these are more bytes than the upload's length")
	// ErrChecksum says that a chunk was not the one its checksum is of. Nothing of the chunk is kept.
	ErrChecksum = fault.New(fault.ChecksumMismatch, "the chunk does not have the checksum that was announced")
)

// OffsetError refuses a chunk that does not begin where the upload ends. It is a fault.Conflict.
type OffsetError struct{ Offset, Asked int64 }

// Error says both.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("upload stands at %d, not %d", e.Offset, e.Asked)
}

// Unwrap makes it a fault.
func (e *OffsetError) Unwrap() error {
	return fault.New(fault.Conflict, "the upload does not stand at this offset")
}

var (
	errTakenOver = fault.New(fault.Conflict, "a later request has taken over this upload")
	errBusy      = fault.Retry(fault.Unavailable, "another request works on this upload", time.Second)
	errExpired   = fault.New(fault.Gone, "the upload has expired")
	errDamaged   = fault.New(fault.Gone, "the bytes of a part have been damaged in the store: send that part again")
)

func errNoUpload() error { return fault.New(fault.NotFound, "no such upload") }

// ownUpload is the owner's upload, unless its time is over.
func (s *Service) ownUpload(ctx context.Context, tx UploadReader, owner OwnerID, id UploadID) (Upload, error) {
	up, err := tx.Upload(ctx, id)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)), err == nil && up.Owner != owner:
		return Upload{}, errNoUpload()
	case err != nil:
		return Upload{}, err
	case !up.ExpiresAt.After(s.now()):
		return Upload{}, errExpired
	default:
		return up, nil
	}
}

// takeUpload makes the caller the only one who works on an upload of theirs. Whoever did before is interrupted, and has
// ended, with what it had received made durable, when this returns.
func (s *Service) takeUpload(ctx context.Context, owner OwnerID, id UploadID, interrupt func(error)) (release func(), err error) {
	err = s.catalog.Read(ctx, func(tx ReadTx) error { // first: strangers interrupt nobody
		_, err := s.ownUpload(ctx, tx, owner, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up the upload: %w", err)
	}
	here, err := s.uploads.take(ctx, id, interrupt)
	if err != nil {
		return nil, err
	}
	everywhere, err := s.holdUpload(ctx, id, interrupt)
	if err != nil {
		here()
		return nil, err
	}
	return func() {
		everywhere()
		here()
	}, nil
}
