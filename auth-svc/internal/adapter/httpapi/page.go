package httpapi

import (
	"fmt"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// pageQuery is which part of a list is asked for.
type pageQuery struct {
	Limit  *int   `query:"limit"`
	Cursor string `query:"cursor"`
}

// Validate holds the limit to its bounds.
func (q pageQuery) Validate() []fault.Field {
	if q.Limit != nil && (*q.Limit < 1 || *q.Limit > web.MaxLimit) {
		return []fault.Field{{
			Field: "limit", Code: "OUT_OF_RANGE", Detail: fmt.Sprintf("limit is 1 to %d", web.MaxLimit),
		}}
	}
	return nil
}

func (q pageQuery) limit() int {
	if q.Limit == nil {
		return web.DefaultLimit
	}
	return *q.Limit
}

// position is what a cursor seals: a place, and the list it belongs to, so that a cursor of one list is none of another.
type position struct {
	List  string          `json:"list"`
	Place identity.Cursor `json:"place"`
}

// place opens the cursor of a list; without one it is the beginning.
func (a *API) place(list, cursor string) (identity.Cursor, error) {
	if cursor == "" {
		return identity.Cursor{}, nil
	}
	var p position
	if err := a.opts.Cursors.Open(cursor, &p); err != nil {
		return identity.Cursor{}, err
	}
	if p.List != list {
		return identity.Cursor{}, fault.Validation(fault.Field{
			Field: "cursor", Code: "INVALID", Detail: "this cursor belongs to another list",
		})
	}
	return p.Place, nil
}

type pageBody[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

// newPage encodes a page of the core, item by item.
func newPage[From, To any](a *API, list string, page identity.Page[From], item func(From) To) pageBody[To] {
	body := pageBody[To]{Items: make([]To, 0, len(page.Items))}
	for _, it := range page.Items {
		body.Items = append(body.Items, item(it))
	}
	if !page.Next.IsZero() {
		body.NextCursor = orNull(a.opts.Cursors.Seal(position{list, page.Next}))
	}
	return body
}
