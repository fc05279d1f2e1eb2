package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

type listInput struct {
	Limit         *int    `query:"limit"`
	Cursor        *string `query:"cursor"`
	Page          *int    `query:"page"`
	PageSize      *int    `query:"page_size"`
	Sort          string  `query:"sort"`
	Query         string  `query:"q"`
	ContentType   string  `query:"content_type"`
	CreatedAfter  moment  `query:"created_after"`
	CreatedBefore moment  `query:"created_before"`
}

// Validate lists what is wrong with numbers and with their mixture; the core judges the rest.
func (in listInput) Validate() []fault.Field {
	var bad fault.Bad
	bad.Add(within("limit", in.Limit, files.MaxLimit)...)
	bad.Add(within("page", in.Page, files.MaxPage)...)
	bad.Add(within("page_size", in.PageSize, files.MaxLimit)...)
	if in.byPage() && (in.Limit != nil || in.Cursor != nil) {
		bad.Refuse("page", "CONFLICT", "list by page or by cursor, not both")
	}
	return bad
}

func (in listInput) byPage() bool { return in.Page != nil || in.PageSize != nil }

// within refuses a number that is given and not from 1 to highest.
func within(name string, n *int, highest int) []fault.Field {
	if n == nil || 1 <= *n && *n <= highest {
		return nil
	}
	return []fault.Field{{Field: name, Code: "RANGE", Detail: fmt.Sprintf("must be from 1 to %d", highest)}}
}

// query is the core's question. Its cursor is still sealed.
func (in listInput) query() files.ListQuery {
	q := files.ListQuery{
		Sort: files.Sort(in.Sort), Query: in.Query, ContentType: in.ContentType,
		CreatedAfter: in.CreatedAfter.Time, CreatedBefore: in.CreatedBefore.Time,
	}
	if in.byPage() {
		q.Page, q.Limit = deref(in.Page, 1), deref(in.PageSize, files.DefaultLimit)
		return q
	}
	q.Limit = deref(in.Limit, files.DefaultLimit)
	return q
}

// filters is what a cursor is bound to: in another list its place means nothing.
type filters struct {
	Owner       files.OwnerID `json:"o"`
	Query       string        `json:"q,omitempty"`
	ContentType string        `json:"c,omitempty"`
	After       time.Time     `json:"a,omitzero"`
	Before      time.Time     `json:"b,omitzero"`
}

type position struct {
	Filters filters      `json:"f"`
	Cursor  files.Cursor `json:"c"`
}

func (in listInput) filters(owner files.OwnerID) filters {
	return filters{owner, in.Query, in.ContentType, in.CreatedAfter.Time, in.CreatedBefore.Time}
}

type listBody struct {
	Items      []fileBody `json:"items"`
	NextCursor *string    `json:"next_cursor"`
	*pageBody
}

type pageBody struct {
	Page     int   `json:"page"`
	PageSize int   `json:"page_size"`
	Total    int64 `json:"total"`
}

func (a *api) list(ctx context.Context, in listInput) (listBody, error) {
	q, err := a.listQuery(ctx, in)
	if err != nil {
		return listBody{}, a.badList(ctx, in)
	}
	l, err := a.files.List(ctx, owner(ctx), q)
	if err != nil {
		return listBody{}, err
	}
	body := listBody{Items: make([]fileBody, 0, len(l.Files))}
	for _, f := range l.Files {
		body.Items = append(body.Items, bodyOf(f))
	}
	if l.Next != nil {
		sealed := a.cursors.Seal(position{in.filters(owner(ctx)), *l.Next})
		body.NextCursor = &sealed
	}
	if q.Page > 0 {
		body.pageBody = &pageBody{Page: q.Page, PageSize: q.Limit, Total: l.Total}
	}
	return body, nil
}

// badList names all the fields of a list that is refused already.
func (a *api) badList(ctx context.Context, in listInput) error {
	q, err := a.listQuery(ctx, in)
	q.After = nil // its order has been looked at
	return fault.Also(err, a.files.CheckList(q))
}

// listQuery is the core's question, with its cursor open.
func (a *api) listQuery(ctx context.Context, in listInput) (q files.ListQuery, err error) {
	q = in.query()
	if in.Cursor != nil {
		q.After, err = a.open(*in.Cursor, in.filters(owner(ctx)), q.Sort)
	}
	return q, err
}

func (a *api) open(cursor string, f filters, sort files.Sort) (*files.Cursor, error) {
	var p position
	if err := a.cursors.Open(cursor, &p); err != nil {
		return nil, err
	}
	if p.Filters != f || p.Cursor.Sort != cmp.Or(sort, files.SortNewest) {
		return nil, fault.Validation(fault.Field{
			Field: "cursor", Code: "MISMATCH", Detail: "the cursor belongs to a list with other filters or another order",
		})
	}
	return &p.Cursor, nil
}

func deref(n *int, otherwise int) int {
	if n == nil {
		return otherwise
	}
	return *n
}
