package files

import "time"

// EventKind says what happened to a file.
type EventKind string

// The kinds.
const (
	FileCreated  EventKind = "file.created"
	FileReplaced EventKind = "file.replaced"
	FileUpdated  EventKind = "file.updated"
	FileTrashed  EventKind = "file.trashed"
	FileRestored EventKind = "file.restored" // from the trash
	FileDeleted  EventKind = "file.deleted"
	OwnerErased  EventKind = "owner.erased"
	LinkCreated  EventKind = "link.created"
	LinkRevoked  EventKind = "link.revoked" // by itself: with its file, FileTrashed or FileDeleted says it
)

// Event is one line of the outbox, written in the transaction that made it true.
type Event struct {
	Seq     int64
	Kind    EventKind
	Owner   OwnerID
	File    FileID // empty for OwnerErased
	Version int64
	Link    LinkID // of LinkCreated and LinkRevoked
	At      time.Time
}
