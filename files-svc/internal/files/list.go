package files

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

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
	ContentType   string  // "image/png", or "image/*"; "*/*" or empty: any
	CreatedAfter  time.Time
	CreatedBefore time.Time
	Expired       bool // list also what has expired, until the reaper has brought it to the trash
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
	if err := s.allow(ctx, owner, "read"); err != nil {
		return FileList{}, err
	}
	q, err := s.checkList(q)
	if err != nil {
		return FileList{}, err
	}
	// One more than wanted tells whether there is a next page.
	now := s.now()
	if q.Expired {
		now = time.Time{} // at which nothing has expired
	}
	w := Window{Now: now, Skip: int64(max(0, q.Page-1)) * int64(q.Limit), Limit: q.Limit + 1}
	var list FileList
	err = s.catalog.Read(ctx, func(tx ReadTx) (err error) {
		if list.Files, err = tx.Files(ctx, owner, q, w); err != nil || q.Page == 0 {
			return err
		}
		list.Total, err = tx.CountFiles(ctx, owner, q, w.Now)
		return err
	})
	if err != nil {
		return FileList{}, fmt.Errorf("list files: %w", err)
	}
	if len(list.Files) > q.Limit {
		list.Files = list.Files[:q.Limit]
		list.Next = cursorAt(q.Sort, list.Files[q.Limit-1])
	}
	return list, nil
}

// CheckList refuses the fields that List would refuse, as CheckNew does for Create.
func (s *Service) CheckList(q ListQuery) error {
	_, err := s.checkList(q)
	return err
}

// checkList fills in what was left out and refuses what can't be.
func (s *Service) checkList(q ListQuery) (ListQuery, error) {
	var bad fault.Bad
	refuse := func(field, detail string) { bad.Refuse(field, "INVALID", detail) }
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	if q.Sort == "" {
		q.Sort = SortNewest
	}
	if q.Limit < 1 || q.Limit > MaxLimit {
		refuse("limit", "must be 1 to 100")
	}
	switch q.Sort {
	case SortNewest, SortOldest, SortName, SortNameDesc, SortSize, SortSizeDesc:
	default:
		refuse("sort", "must be created_at, name or size, with or without a leading -")
	}
	if q.Page < 0 || q.Page > MaxPage {
		refuse("page", "must be 1 to 100000")
	}
	if q.After != nil && (q.Page > 0 || q.After.Sort != q.Sort) {
		refuse("cursor", "belongs to a list of another order")
	}
	if len(q.Query) > maxNameBytes || !utf8.ValidString(q.Query) {
		refuse("q", "must be at most 255 bytes of UTF-8")
	}
	if err := bad.Err(); err != nil {
		return q, err
	}
	q.Query = s.fold(q.Query)
	if q.ContentType = mediaType(q.ContentType); q.ContentType == "*/*" {
		q.ContentType = "" // every type
	}
	return q, nil
}

// cursorAt is the place behind a file.
func cursorAt(sort Sort, f File) *Cursor {
	c := &Cursor{Sort: sort, ID: f.ID}
	switch sort {
	case SortName, SortNameDesc:
		c.Text = f.Fold
	case SortSize, SortSizeDesc:
		c.Int = f.Size
	default:
		c.Int = f.CreatedAt.UnixMicro()
	}
	return c
}
