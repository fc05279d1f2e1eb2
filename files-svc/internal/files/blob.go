package files

import (
	"strconv"
	"strings"
	"time"
)

// EpochID names one life of one writer: a UUIDv7, made when the writer starts.
type EpochID string

// BlobID names a run of bytes in the store. It is its writer's epoch and a number that counts within it, so that the
// store can be searched for what a dead writer left. It is used once and never told to a client.
type BlobID string

const seqDigits = 12

// NewBlobID joins an epoch and a number. Ids of one epoch sort by their number.
func NewBlobID(epoch EpochID, seq int64) BlobID {
	digits := strconv.FormatInt(seq, 16)
	return BlobID(string(epoch) + "." + strings.Repeat("0", max(0, seqDigits-len(digits))) + digits)
}

// Split takes a blob id apart; ok is false when it is not of the form NewBlobID makes.
func (id BlobID) Split() (epoch EpochID, seq int64, ok bool) {
	head, tail, found := strings.Cut(string(id), ".")
	seq, err := strconv.ParseInt(tail, 16, 64)
	if !found || head == "" || err != nil || NewBlobID(EpochID(head), seq) != id {
		return "", 0, false
	}
	return EpochID(head), seq, true
}

// BlobState is where a blob stands: pending → live → dead → deleting → tombstone, and then the row is gone. No blob
// goes back.
type BlobState string

// The states.
const (
	// BlobPending is an upload under way that has a row of its own; it may have bytes, and it reserves quota.
	BlobPending BlobState = "pending"
	// BlobLive is named by a version. Its bytes are durable.
	BlobLive BlobState = "live"
	// BlobDead is named by no version. Its bytes stay for the restore horizon.
	BlobDead BlobState = "dead"
	// BlobDeleting may or may not still have its bytes.
	BlobDeleting BlobState = "deleting"
	// BlobTombstone has no bytes; the row stays until nobody can still write under its id.
	BlobTombstone BlobState = "tombstone"
)

// Blob is the row of a blob.
type Blob struct {
	ID        BlobID
	Owner     OwnerID // empty for bytes the reaper found without a row
	State     BlobState
	Size      int64
	SHA256    Digest
	Reserved  int64 // quota held while pending, in bytes
	ChangedAt time.Time

	VerifiedAt time.Time // when its bytes last were what the row says: hashed on their way in, or read back
	Flaw       Flaw      // what is wrong with it, while live
}

// EpochState is where a writer's epoch stands: open → fenced → closed, and then the row is gone.
type EpochState string

// The states of an epoch.
const (
	// EpochOpen is a writer that lives, as far as anyone knows.
	EpochOpen EpochState = "open"
	// EpochFenced commits nothing any more; the reaper searches the store for what it left.
	EpochFenced EpochState = "fenced"
	// EpochClosed has been searched after nobody could still write.
	EpochClosed EpochState = "closed"
)

// Epoch is the row of a writer's life, and the durable intent of all its uploads.
type Epoch struct {
	ID        EpochID
	State     EpochState
	Beats     int64     // goes up while the writer lives; others watch it with their own clocks
	Settled   int64     // every key numbered below has had its row since: no search need look there again
	ChangedAt time.Time // of State
}
