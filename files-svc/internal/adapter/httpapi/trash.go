package httpapi

import (
	"context"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

// trashedBody is a file in the trash.
type trashedBody struct {
	fileBody
	DeletedAt web.Time  `json:"deleted_at"`
	PurgeAt   *web.Time `json:"purge_at"`
}

func trashedBodyOf(f files.Trashed) trashedBody {
	t := trashedBody{fileBody: bodyOf(f.File), DeletedAt: web.Time(f.DeletedAt)}
	if !f.PurgeAt.IsZero() {
		at := web.Time(f.PurgeAt)
		t.PurgeAt = &at
	}
	return t
}

type trashInput struct {
	Limit  *int    `query:"limit"`
	Cursor *string `query:"cursor"`
}

// Validate looks at the limit.
func (in trashInput) Validate() []fault.Field { return within("limit", in.Limit, files.MaxLimit) }

// trashPosition binds a place to its owner.
type trashPosition struct {
	Owner files.OwnerID    `json:"to"`
	Place files.TrashPlace `json:"tp"`
}

func (a *api) trash(ctx context.Context, in trashInput) (pageOf[trashedBody], error) {
	after, err := a.trashAfter(ctx, in)
	if err != nil {
		return pageOf[trashedBody]{}, err
	}
	list, err := a.files.Trash(ctx, owner(ctx), after, deref(in.Limit, 0))
	if err != nil {
		return pageOf[trashedBody]{}, err
	}
	body := pageOf[trashedBody]{Items: make([]trashedBody, 0, len(list.Files))}
	for _, f := range list.Files {
		body.Items = append(body.Items, trashedBodyOf(f))
	}
	if list.Next != nil {
		next := a.cursors.Seal(trashPosition{owner(ctx), *list.Next})
		body.NextCursor = &next
	}
	return body, nil
}

// trashAfter opens the cursor; nil: from the beginning.
func (a *api) trashAfter(ctx context.Context, in trashInput) (*files.TrashPlace, error) {
	if in.Cursor == nil {
		return nil, nil
	}
	var p trashPosition
	if err := a.cursors.Open(*in.Cursor, &p); err != nil {
		return nil, err
	}
	if p.Owner != owner(ctx) || p.Owner == "" {
		return nil, otherList()
	}
	return &p.Place, nil
}

func (a *api) badTrash(ctx context.Context, in trashInput) error {
	_, err := a.trashAfter(ctx, in)
	return err
}

func (a *api) restoreTrashed(ctx context.Context, in fileInput) (fileBody, error) {
	if err := unconditional(ctx, in); err != nil {
		return fileBody{}, err
	}
	f, err := a.files.RestoreTrashed(ctx, owner(ctx), files.FileID(in.ID))
	return bodyOf(f), err
}

func (a *api) deleteTrashed(ctx context.Context, in fileInput) (web.NoContent, error) {
	if err := unconditional(ctx, in); err != nil {
		return web.NoContent{}, err
	}
	return web.NoContent{}, a.files.DeleteTrashed(ctx, owner(ctx), files.FileID(in.ID))
}

// unconditional refuses conditions on a file in the trash: nothing there changes but by leaving it.
func unconditional(ctx context.Context, _ fileInput) error {
	var bad fault.Bad
	untaken(web.Request(ctx), &bad, "no condition is taken on what is in the trash", "If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since")
	return bad.Err()
}
