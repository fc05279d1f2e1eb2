package files

import (
	"context"
	"time"

	"cloakroom.dev/libs/fault"
)

// Sort is the order of a list; ties are broken by id.
type Sort string

// The orders. SortNewest is what an empty Sort means.
const (
	SortNewest   Sort = "-created_at"
	SortOldest   Sort = "created_at"
	SortName     Sort = "name"
	SortNameDesc Sort = "-name"
	SortSize     Sort = "size"
	SortSizeDesc Sort = "-size"
)

// The bounds of a list.
const (
	DefaultLimit = 20
	MaxLimit     = 100
	MaxPage      = 100_000
)

// Cursor is the place behind the last file of a page. It is made of what the caller has seen already, and can be
// written as JSON; seal it before it travels.
type Cursor struct {
	Sort Sort   `json:"s"`
	Int  int64  `json:"i,omitempty"` // microseconds or bytes
	Text string `json:"t,omitempty"`
	ID   FileID `json:"id"`
}

// ListQuery says which files to list. Its zero value is the newest files, by cursor.
type ListQuery struct {
	Sort          Sort
	Limit         int     // 1 to MaxLimit; 0: DefaultLimit
	After         *Cursor // from the page before
	Page          int     // from 1: by number instead of by cursor; Limit is the page's size
	Query         string  // part of the name, in any case
	ContentType   string  // "image/png", or "image/*"
	CreatedAfter  time.Time
	CreatedBefore time.Time

	Now time.Time // set by the core: what has expired by then is not listed
}

// FileList is one page. Next is nil on the last one. Total is counted only for pages by number.
type FileList struct {
	Files []File
	Next  *Cursor
	Total int64
}

// DueQuery says which files the reaper looks for: those that expired before a moment and are not in the trash yet, or
// those in the trash since before a moment, or all of one owner. Exactly one is set.
type DueQuery struct {
	ExpiredBefore time.Time
	TrashedBefore time.Time
	Owner         OwnerID
	Limit         int
}

// List lists the owner's files outside the trash. A cursor of another order is fault.Invalid.
func (s *Service) List(ctx context.Context, owner OwnerID, q ListQuery) (FileList, error) {
	return FileList{}, fault.New(fault.Unavailable, "not yet")
}
