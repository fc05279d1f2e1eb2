package httpapi

import (
	"context"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

// changeBody is one thing that happened.
type changeBody struct {
	Kind    files.EventKind `json:"kind"`
	FileID  *files.FileID   `json:"file_id"`
	Version *int64          `json:"version"`
	LinkID  *files.LinkID   `json:"link_id"`
	At      web.Time        `json:"at"`
}

type changesBody struct {
	Items      []changeBody `json:"items"`
	NextCursor string       `json:"next_cursor"`
	More       bool         `json:"more"`
}

type changesInput struct {
	Limit  *int    `query:"limit"`
	Cursor *string `query:"cursor"`
}

// Validate looks at the limit.
func (in changesInput) Validate() []fault.Field { return within("limit", in.Limit, files.MaxLimit) }

// changesPlace binds a position to its owner.
type changesPlace struct {
	Owner files.OwnerID `json:"co"`
	Seq   int64         `json:"cs"`
}

func (a *api) changes(ctx context.Context, in changesInput) (changesBody, error) {
	after, err := a.changesAfter(ctx, in)
	if err != nil {
		return changesBody{}, err
	}
	c, err := a.files.Changes(ctx, owner(ctx), after, deref(in.Limit, 0))
	if err != nil {
		return changesBody{}, err
	}
	body := changesBody{Items: make([]changeBody, 0, len(c.Events)), More: c.More}
	for _, e := range c.Events {
		body.Items = append(body.Items, changeBody{
			Kind: e.Kind, FileID: given(e.File), Version: given(e.Version), LinkID: given(e.Link), At: web.Time(e.At),
		})
	}
	body.NextCursor = a.cursors.Seal(changesPlace{owner(ctx), c.Next})
	return body, nil
}

// changesAfter opens the cursor; nil: from the beginning.
func (a *api) changesAfter(ctx context.Context, in changesInput) (*int64, error) {
	if in.Cursor == nil {
		return nil, nil
	}
	var p changesPlace
	if err := a.cursors.Open(*in.Cursor, &p); err != nil {
		return nil, err
	}
	if p.Owner != owner(ctx) || p.Owner == "" {
		return nil, otherList()
	}
	return &p.Seq, nil
}

func (a *api) badChanges(ctx context.Context, in changesInput) error {
	_, err := a.changesAfter(ctx, in)
	return err
}

// given is nil for what an event does not have.
func given[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}
