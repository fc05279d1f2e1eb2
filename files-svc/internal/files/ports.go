package files

import (
	"context"
	"io"
	"time"
)

// Catalog is the store of rows. Implementations are safe for concurrent use. A full disk is fault.StorageFull, a store
// that can't be reached fault.Unavailable; both leave nothing behind.
type Catalog interface {
	// Write runs fn in a transaction and returns once it is durable. When fn fails, nothing is kept and its error is
	// returned as it is. fn may run more than once but never after Write has returned; it must be short, and must not
	// call the catalog. When the last run of fn succeeded and Write fails, the outcome is open.
	Write(ctx context.Context, fn func(tx Tx) error) error
	// Read runs fn on one consistent snapshot of what was durable. fn may run more than once here too, so it keeps nothing from a
	// former run.
	Read(ctx context.Context, fn func(tx ReadTx) error) error
}

// Tx is a transaction: everything in it is seen and kept together. Rows it has read stay as they are until it ends.
type Tx interface {
	ReadTx
	FileWriter
	VersionWriter
	BlobWriter
	OwnerWriter
	EpochWriter
	UploadWriter
	LinkWriter
	ReceiptWriter
	ImportWriter
	Outbox
}

// ReadTx is the reading half of a transaction.
type ReadTx interface {
	FileReader
	TrashReader
	VersionReader
	BlobReader
	ScrubReader
	OwnerReader
	EpochReader
	UploadReader
	LinkReader
	ReceiptReader
	ImportReader
	EventReader
}

// FileReader finds files.
type FileReader interface {
	// File finds a file, in the trash or not. It returns fault.NotFound when there is none of this id.
	File(ctx context.Context, id FileID) (File, error)
	// FileNamed reports whether owner has a file of exactly this name that is visible at now. fold is the folded name.
	FileNamed(ctx context.Context, owner OwnerID, name, fold string, now time.Time) (bool, error)
	// Files lists what is visible at w.Now in the order of q.Sort, from q.After or w.Skip on. q.Query is folded.
	Files(ctx context.Context, owner OwnerID, q ListQuery, w Window) ([]File, error)
	// CountFiles counts what Files would list without cursor and window.
	CountFiles(ctx context.Context, owner OwnerID, q ListQuery, now time.Time) (int64, error)
	// DueFiles lists at most q.Limit files in the order of their ids that match q.
	DueFiles(ctx context.Context, q DueQuery) ([]File, error)
}

// TrashReader finds what is in the trash.
type TrashReader interface {
	// TrashedFiles lists at most limit files in the owner's trash behind a place, the latest deleted first, then by falling id.
	TrashedFiles(ctx context.Context, owner OwnerID, after *TrashPlace, limit int) ([]File, error)
}

// Window is the part of a list a store is asked for.
type Window struct {
	Now   time.Time
	Skip  int64
	Limit int
}

// FileWriter changes files.
type FileWriter interface {
	// InsertFile adds a file.
	InsertFile(ctx context.Context, f File) error
	// UpdateFile writes f over the row whose revision is f.Revision-1. It returns fault.Conflict when there is none.
	UpdateFile(ctx context.Context, f File) error
	// DeleteFile removes the row; its versions must be gone. It returns fault.NotFound when there is none.
	DeleteFile(ctx context.Context, id FileID) error
}

// VersionReader finds versions.
type VersionReader interface {
	// Versions lists the versions of a file, newest first.
	Versions(ctx context.Context, id FileID) ([]Version, error)
	// VersionOf finds the newest version that has a blob. It returns fault.NotFound when there is none.
	VersionOf(ctx context.Context, id BlobID) (Version, error)
}

// VersionWriter changes versions.
type VersionWriter interface {
	// InsertVersion adds a version; its file and its blob must exist. Versions of one file may share a blob.
	InsertVersion(ctx context.Context, v Version) error
	// DeleteVersion removes one version. It returns fault.NotFound when there is none.
	DeleteVersion(ctx context.Context, id FileID, number int64) error
}

// BlobReader finds the rows of blobs.
type BlobReader interface {
	// Blob finds a blob's row. It returns fault.NotFound when there is none.
	Blob(ctx context.Context, id BlobID) (Blob, error)
	// KnownBlobs tells which of ids have a row, of whatever state. There are at most some hundred.
	KnownBlobs(ctx context.Context, ids []BlobID) (map[BlobID]bool, error)
	// BlobsIn lists at most limit blobs in state dead, deleting or tombstone since then or earlier, the longest waiting first.
	BlobsIn(ctx context.Context, state BlobState, since time.Time, limit int) ([]Blob, error)
	// PendingBlobs lists at most limit pending blobs of an epoch, in the order of their ids.
	PendingBlobs(ctx context.Context, epoch EpochID, limit int) ([]Blob, error)
	// EpochHasBlobs reports whether any row's id belongs to the epoch.
	EpochHasBlobs(ctx context.Context, epoch EpochID) (bool, error)
	// BlobStats counts blobs and bytes by state; of pending ones, the bytes they reserve.
	BlobStats(ctx context.Context) (map[BlobState]BlobStat, error)
}

// BlobStat is how many blobs there are in a state, and their bytes.
type BlobStat struct{ Blobs, Bytes int64 }

// BlobWriter changes the rows of blobs.
type BlobWriter interface {
	// InsertBlob adds a blob's row. It returns fault.Conflict when the id has a row already, of whatever state.
	InsertBlob(ctx context.Context, b Blob) error
	// UpdateBlob writes b over the row when that is in state from. It returns fault.Conflict when it is not.
	UpdateBlob(ctx context.Context, b Blob, from BlobState) error
	// DeleteBlob removes the row when it is in state from and no version names it. It returns fault.Conflict when not.
	DeleteBlob(ctx context.Context, id BlobID, from BlobState) error
}

// LinkReader finds links, alive or not.
type LinkReader interface {
	// Link finds a link. It returns fault.NotFound when there is none.
	Link(ctx context.Context, id LinkID) (Link, error)
	// LinkByHash finds the link of a token. It returns fault.NotFound when there is none.
	LinkByHash(ctx context.Context, hash LinkHash) (Link, error)
	// Links lists the links of a file, newest first.
	Links(ctx context.Context, file FileID) ([]Link, error)
}

// LinkWriter changes links.
type LinkWriter interface {
	// InsertLink adds a link; its file must exist. It returns fault.Conflict when its id or its hash is there already.
	InsertLink(ctx context.Context, l Link) error
	// UpdateLink writes the counts of l: Downloads, Failures, FailedAt. It returns fault.NotFound when there is no such link.
	UpdateLink(ctx context.Context, l Link) error
	// DeleteLink removes a link. It returns fault.NotFound when there is none.
	DeleteLink(ctx context.Context, id LinkID) error
	// DeleteLinks removes all links of a file; there may be none.
	DeleteLinks(ctx context.Context, file FileID) error
	// TrimLinks removes at most limit links that have expired until a moment, and returns how many.
	TrimLinks(ctx context.Context, until time.Time, limit int) (int64, error)
}

// ImportReader knows the files of other systems that have come in.
type ImportReader interface {
	// Imported finds what has become of a file of another system. It returns fault.NotFound when it has not come in.
	Imported(ctx context.Context, source, foreignID string) (Imported, error)
}

// ImportWriter remembers them.
type ImportWriter interface {
	// InsertImported remembers one. It returns fault.Conflict when the pair of source and id is known.
	InsertImported(ctx context.Context, i Imported) error
	// ForgetImported forgets at most limit files of an owner, and returns how many.
	ForgetImported(ctx context.Context, owner OwnerID, limit int) (int64, error)
}

// ReceiptReader finds receipts, live or not.
type ReceiptReader interface {
	// Receipt finds the receipt of an owner's key. It returns fault.NotFound when there is none.
	Receipt(ctx context.Context, owner OwnerID, key Digest) (Receipt, error)
}

// ReceiptWriter changes receipts.
type ReceiptWriter interface {
	// SaveReceipt writes a receipt, over an older one of the same key if there is one.
	SaveReceipt(ctx context.Context, r Receipt) error
	// KeepReceipts removes all receipts of an owner but the newest keep. removed is told how many, before the commit ends.
	KeepReceipts(ctx context.Context, owner OwnerID, keep int, removed func(int64)) error
	// TrimReceipts removes at most limit receipts from a moment or before, oldest first, and returns how many.
	TrimReceipts(ctx context.Context, until time.Time, limit int) (int64, error)
}

// Owner is the account of one person: the sums that make quota exact.
type Owner struct {
	ID       OwnerID
	Bytes    int64 // Σ size of all blobs that versions name; versions that share one count it once
	Reserved int64 // Σ reserved of all pending blobs and uploads
	Files    int64 // files outside the trash
	Versions int64
	ErasedAt time.Time // when the person was erased; nothing is ever stored for them again
}

// OwnerReader finds accounts.
type OwnerReader interface {
	// Owner finds an account; one that is not there is returned empty, with its ID.
	Owner(ctx context.Context, id OwnerID) (Owner, error)
	// LogPosition is how far the revocation log has been worked off; 0 before the first entry.
	LogPosition(ctx context.Context) (int64, error)
}

// OwnerWriter changes accounts.
type OwnerWriter interface {
	// SaveOwner writes an account, new or not.
	SaveOwner(ctx context.Context, o Owner) error
	// SetLogPosition keeps how far the revocation log has been worked off.
	SetLogPosition(ctx context.Context, seq int64) error
}

// EpochReader finds epochs.
type EpochReader interface {
	// Epoch finds an epoch. It returns fault.NotFound when there is none.
	Epoch(ctx context.Context, id EpochID) (Epoch, error)
	// Epochs lists all epochs, oldest id first.
	Epochs(ctx context.Context) ([]Epoch, error)
}

// EpochWriter changes epochs.
type EpochWriter interface {
	// InsertEpoch adds an epoch. It returns fault.Conflict when it is there already.
	InsertEpoch(ctx context.Context, e Epoch) error
	// UpdateEpoch writes e over the row when that is in state from. It returns fault.Conflict when it is not.
	UpdateEpoch(ctx context.Context, e Epoch, from EpochState) error
	// DeleteEpoch removes a closed epoch that has no blobs.
	DeleteEpoch(ctx context.Context, id EpochID) error
}

// EventReader reads the outbox.
type EventReader interface {
	// EventsAfter lists at most limit events behind a position, in the order of their commits.
	EventsAfter(ctx context.Context, seq int64, limit int) ([]Event, error)
	// OwnerEvents is EventsAfter for one owner.
	OwnerEvents(ctx context.Context, owner OwnerID, seq int64, limit int) ([]Event, error)
	// EventRange is the position of the oldest event that is kept and of the newest there ever was; when none is kept,
	// first is last+1.
	EventRange(ctx context.Context) (first, last int64, err error)
}

// Outbox takes what others must hear of, in the transaction that made it so.
type Outbox interface {
	// AppendEvent adds an event; the store gives it its Seq, in the order of commits.
	AppendEvent(ctx context.Context, e Event) error
	// TrimEvents removes at most limit events from before a moment, oldest first, and returns how many.
	TrimEvents(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Blobs is the store of bytes. Blobs are written once under fresh ids and never changed. Implementations are safe for
// concurrent use. No room left is fault.StorageFull; a store that can't be read or written is fault.Unavailable.
type Blobs interface {
	BlobKeys
	Partials
	// Create begins a blob. Nothing is visible under id before Commit. The id has never been used before.
	Create(ctx context.Context, id BlobID) (BlobSink, error)
	// Open opens a blob for reading and checks that it has size bytes. Deleting it does not disturb the reader. It
	// returns fault.NotFound when there is no such blob, and an internal error when its size is another.
	Open(ctx context.Context, id BlobID, size int64) (BlobSource, error)
	// Delete removes blobs and returns those that are gone for good: they stay gone after a power cut. A blob that was
	// not there counts as gone. err is the first failure; the others are tried all the same.
	Delete(ctx context.Context, ids []BlobID) (gone []BlobID, err error)
}

// BlobKeys is how the reaper looks at a store of bytes: by epoch, because the keys of a live writer are not its business.
type BlobKeys interface {
	// Epochs lists the epochs that may have bytes in the store.
	Epochs(ctx context.Context) ([]EpochID, error)
	// Walk calls fn for each key of an epoch numbered from or above, complete or not, until fn fails. It may miss a key
	// that appears meanwhile, and none that was there before.
	Walk(ctx context.Context, epoch EpochID, from int64, fn func(id BlobID) error) error
	// Forget removes what is empty of an epoch in which nobody may write any more. Keys stay.
	Forget(ctx context.Context, epoch EpochID) error
}

// BlobSink takes the bytes of one blob. It is used by one goroutine. Exactly one of Commit and Abort ends it; Abort
// after Commit does nothing.
type BlobSink interface {
	io.Writer
	// Commit makes the bytes durable under the blob's id: they survive a power cut once it has returned nil. After an
	// error the blob is lost and nothing of it may be retried; a key may remain for the reaper.
	Commit(ctx context.Context) error
	// Abort forgets the bytes.
	Abort()
}

// BlobSource reads one blob. A source of a local disk also has the methods of *os.File, so that the kernel can send it.
type BlobSource interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// RemoteBlobs is a Blobs that asks another machine for each thing: what need not be asked is not, and clients can go there
// themselves.
type RemoteBlobs interface {
	Blobs
	// OpenLater is Open that asks nothing yet. The store is asked by the first read, or by Reach.
	OpenLater(ctx context.Context, id BlobID, size int64) (LaterSource, error)
	// Address returns where anybody can read a blob as it is, until a time from now. It fails as Open does, when that would.
	Address(ctx context.Context, id BlobID, size int64, a Address) (url string, err error)
}

// LaterSource is a BlobSource that may not have been opened yet.
type LaterSource interface {
	BlobSource
	// Reach fails as Open does, when that would; reading in order from this byte on then costs nothing more.
	Reach(from int64) error
}

// Address is what a blob's address says, in the words of HTTP.
type Address struct {
	Lifetime    time.Duration
	ContentType string
	Disposition string
}

// Meter hears what happens, for metrics. Its methods return at once.
type Meter interface {
	// Uploaded is told of each create and replace that ended: its result ("ok", or the kind of refusal in short: "too_large",
	// "quota", "digest", "precondition", "repeated" (another process had answered it), "invalid", "storage_full", "unavailable", "error"), the bytes received and the time it took.
	Uploaded(ctx context.Context, result string, bytes int64, took time.Duration)
	// Reaped is told how many blobs a pass has brought into a state: "dead" (pending, of dead writers), "orphan" (found
	// without a row), "deleting", "tombstone", "gone"; and of "upload" (expired), "partial" (its bytes), "epoch_fenced", "trashed", "purged", "link", "receipt", "receipt_early" (within
	// its time, by an upload: its owner has too many), "import" (of somebody erased), "event".
	Reaped(step string, n int)
	// PassEnded is told how long a reaper's pass took and whether all of it succeeded.
	PassEnded(took time.Duration, err error)
	// Blobs is told how many blobs and bytes stand in each state, once a pass.
	Blobs(stats map[BlobState]BlobStat)
	// OpenUploads is told what resumable uploads are open, once a pass.
	OpenUploads(stats UploadStats)
	// Corrupt is told of each blob that was missing or not what its row says: an alert.
	Corrupt()
	// Scrubbed is told of each blob the scrub has looked at: "verified", "corrupt", "missing" or "unreadable", and the bytes it read.
	Scrubbed(result string, bytes int64)
	// Soundness is told when the bytes verified longest ago were verified (zero: there are none), and what is flawed.
	Soundness(oldest time.Time, flawed map[Flaw]BlobStat)
	// Scanned is told how each question to the scanner ended: "clean", "infected", "oversize" or "unavailable".
	Scanned(result string)
}
