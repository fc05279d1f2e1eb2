package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"cloakroom.dev/files-svc/internal/adapter/httpapi/field"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

// versionBody is one content a file has or had.
type versionBody struct {
	Version     int64       `json:"version"`
	ContentType string      `json:"content_type"`
	Size        int64       `json:"size"`
	SHA256      string      `json:"sha256"`
	ETag        string      `json:"etag"`
	CreatedAt   web.Time    `json:"created_at"`
	Flaw        *files.Flaw `json:"flaw"`
}

func versionBodyOf(v files.Version) versionBody {
	return versionBody{
		Version: v.Number, ContentType: v.ContentType, Size: v.Size, SHA256: v.SHA256.String(),
		ETag: files.File{Version: v.Number, SHA256: v.SHA256}.ETag(), CreatedAt: web.Time(v.CreatedAt), Flaw: flawOf(v.Flaw),
	}
}

type versionsInput struct {
	ID     string  `path:"id"`
	Limit  *int    `query:"limit"`
	Cursor *string `query:"cursor"`
}

// Validate looks at the limit.
func (in versionsInput) Validate() []fault.Field { return within("limit", in.Limit, files.MaxLimit) }

// versionPlace is where a page of versions ends. It means nothing for another file.
type versionPlace struct {
	File   files.FileID `json:"vf"`
	Number int64        `json:"vn"`
}

type pageOf[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

func (a *api) versions(ctx context.Context, in versionsInput) (pageOf[versionBody], error) {
	id := files.FileID(in.ID)
	place, err := a.versionsAfter(in)
	if err != nil {
		return pageOf[versionBody]{}, err
	}
	page, more, err := a.files.Versions(ctx, owner(ctx), id, place.Number, deref(in.Limit, 0))
	if err != nil {
		return pageOf[versionBody]{}, err
	}
	body := pageOf[versionBody]{Items: make([]versionBody, 0, len(page))}
	for _, v := range page {
		body.Items = append(body.Items, versionBodyOf(v))
	}
	if more {
		next := a.cursors.Seal(versionPlace{id, page[len(page)-1].Number})
		body.NextCursor = &next
	}
	return body, nil
}

// versionsAfter opens the cursor; the zero place is the beginning.
func (a *api) versionsAfter(in versionsInput) (place versionPlace, err error) {
	if in.Cursor == nil {
		return place, nil
	}
	if err := a.cursors.Open(*in.Cursor, &place); err != nil {
		return place, err
	}
	if place.File != files.FileID(in.ID) || place.Number < 1 {
		return place, otherList()
	}
	return place, nil
}

func (a *api) badVersions(_ context.Context, in versionsInput) error {
	_, err := a.versionsAfter(in)
	return err
}

func otherList() error {
	return fault.Validation(fault.Field{Field: "cursor", Code: "MISMATCH", Detail: "the cursor belongs to another list"})
}

// versionContent is GET and HEAD /v1/files/{id}/versions/{n}/content.
func (a *api) versionContent(w http.ResponseWriter, r *http.Request) error {
	return a.download(w, r, func(ctx context.Context) (*files.Content, error) {
		return a.files.OpenVersion(ctx, owner(ctx), files.FileID(web.Var(r, "id")), versionNumber(web.Var(r, "n")))
	})
}

// versionNumber is a number of the path, or 0, which no version has.
func versionNumber(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text {
		return 0
	}
	return n
}

type restoreVersionInput struct {
	ID     string `path:"id"`
	Number string `path:"n"`
}

func (a *api) restoreVersion(ctx context.Context, in restoreVersionInput) (fileBody, error) {
	match, err := ifMatch(web.Request(ctx))
	if err != nil {
		return fileBody{}, err
	}
	f, err := a.files.RestoreVersion(ctx, owner(ctx), files.FileID(in.ID), versionNumber(in.Number), match)
	return bodyOf(f), err
}

func badRestore(ctx context.Context, _ restoreVersionInput) error {
	_, err := ifMatch(web.Request(ctx))
	return err
}

// ifMatch reads If-Match, which guards every change of a file, in the core's words: nil is no condition.
func ifMatch(r *http.Request) ([]string, error) {
	if r.Header.Get("If-None-Match") == "*" {
		return nil, fault.New(fault.PreconditionFailed, "there is a content")
	}
	var bad fault.Bad
	untaken(r, &bad, "guard a change with If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since")
	if err := bad.Err(); err != nil {
		return nil, err
	}
	match := field.ParseETags(r.Header.Values("If-Match"))
	switch {
	case match.Any:
		return []string{"*"}, nil
	case match.Given && len(match.Tags) == 0:
		return nil, fault.New(fault.PreconditionFailed, "no content has a tag of this form")
	default:
		return match.Tags, nil
	}
}
