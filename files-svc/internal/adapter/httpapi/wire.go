package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/web"
)

// fileBody is a file as the contract shows it.
type fileBody struct {
	ID          files.FileID   `json:"id"`
	Name        string         `json:"name"`
	Extension   string         `json:"extension"`
	ContentType string         `json:"content_type"`
	Size        int64          `json:"size"`
	SHA256      string         `json:"sha256"`
	Version     int64          `json:"version"`
	ETag        string         `json:"etag"`
	Metadata    files.Metadata `json:"metadata"`
	CreatedAt   web.Time       `json:"created_at"`
	UpdatedAt   web.Time       `json:"updated_at"`
	ExpiresAt   *web.Time      `json:"expires_at"`
	Flaw        *files.Flaw    `json:"flaw"`
}

func bodyOf(f files.File) fileBody {
	b := fileBody{
		ID: f.ID, Name: f.Name, Extension: f.Extension(), ContentType: f.ContentType, Size: f.Size,
		SHA256: f.SHA256.String(), Version: f.Version, ETag: f.ETag(), Metadata: f.Metadata,
		CreatedAt: web.Time(f.CreatedAt), UpdatedAt: web.Time(f.UpdatedAt), Flaw: flawOf(f.Flaw),
	}
	if b.Metadata == nil {
		b.Metadata = files.Metadata{}
	}
	if !f.ExpiresAt.IsZero() {
		at := web.Time(f.ExpiresAt)
		b.ExpiresAt = &at
	}
	return b
}

// flawOf is a flaw as it is sent: null for none.
func flawOf(f files.Flaw) *files.Flaw {
	if f == files.FlawNone {
		return nil
	}
	return &f
}

// Describe is a file as the contract shows it, for whoever else tells of files.
func Describe(f files.File) any { return bodyOf(f) }

// Headers adds the content's entity tag, so that a client can guard its next write without a second call.
func (b fileBody) Headers(h http.Header) { h.Set("ETag", b.ETag) }

type usageBody struct {
	Bytes      int64  `json:"bytes"`
	Files      int64  `json:"files"`
	QuotaBytes *int64 `json:"quota_bytes"`
}

// moment is a time in a query: RFC 3339 with any offset.
type moment struct{ time.Time }

// UnmarshalText reads it.
func (m *moment) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339, string(text))
	m.Time = at.UTC().Truncate(time.Microsecond)
	return err
}

// Form tells which form it takes.
func (moment) Form() string { return web.Time{}.Form() }

// optional is a member of a JSON object that may be absent, or null where that means something.
type optional[T any] struct {
	given bool
	value *T // nil for null
}

// UnmarshalJSON is only called when the member is there.
func (o *optional[T]) UnmarshalJSON(raw []byte) error {
	o.given = true
	return json.Unmarshal(raw, &o.value)
}

// Form tells which form it takes.
func (o optional[T]) Form() string { return formOf[T]() + ", or null" }

// required is an optional member that can't be null.
type required[T any] struct{ value *T }

// UnmarshalJSON is only called when the member is there.
func (r *required[T]) UnmarshalJSON(raw []byte) error {
	if err := json.Unmarshal(raw, &r.value); err != nil {
		return err
	}
	if r.value == nil {
		return errors.New("null")
	}
	return nil
}

// Form tells which form it takes.
func (r required[T]) Form() string { return formOf[T]() }

func formOf[T any]() string {
	switch v := any(*new(T)).(type) {
	case interface{ Form() string }:
		return v.Form()
	case string:
		return "must be a string"
	default:
		return "must be a whole number in range"
	}
}

// orZero is the member, or its zero when it was left out.
func (r required[T]) orZero() (zero T) {
	if r.value == nil {
		return zero
	}
	return *r.value
}
