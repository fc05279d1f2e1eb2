package httpapi

import (
	"encoding/json"
	"strconv"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/web"
)

// text is the JSON of a file, byte for byte what encoding/json makes of it, for the answer to each upload.
func (b *fileBody) text() ([]byte, error) {
	t := fileText{b: make([]byte, 0, fileTextRoom)}
	t.string(`{"id":`, string(b.ID))
	t.string(`,"name":`, b.Name)
	t.string(`,"extension":`, b.Extension)
	t.string(`,"content_type":`, b.ContentType)
	t.number(`,"size":`, b.Size)
	t.string(`,"sha256":`, b.SHA256)
	t.number(`,"version":`, b.Version)
	t.string(`,"etag":`, b.ETag)
	t.b = append(t.b, `,"metadata":`...)
	if len(b.Metadata) > 0 {
		t.any(b.Metadata)
	} else {
		t.b = append(t.b, "{}"...)
	}
	t.time(`,"created_at":`, &b.CreatedAt)
	t.time(`,"updated_at":`, &b.UpdatedAt)
	t.time(`,"expires_at":`, b.ExpiresAt)
	t.flaw(`,"flaw":`, b.Flaw)
	return append(t.b, '}'), t.err
}

// fileTextRoom is more than most files' text has.
const fileTextRoom = 640

// fileText grows by a member at a time, up to the first that fails.
type fileText struct {
	b   []byte
	err error
}

func (t *fileText) string(name, value string) {
	t.b = append(t.b, name...)
	begin := len(t.b)
	t.b = append(t.b, '"')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"', c == '\\':
			t.b = append(t.b, '\\', c)
		case c < ' ', c > '~', c == '<', c == '>', c == '&': // what encoding/json may escape in its own way
			t.b = t.b[:begin]
			t.any(value)
			return
		default:
			t.b = append(t.b, c)
		}
	}
	t.b = append(t.b, '"')
}

func (t *fileText) number(name string, value int64) {
	t.b = strconv.AppendInt(append(t.b, name...), value, 10)
}

func (t *fileText) time(name string, at *web.Time) {
	if t.b = append(t.b, name...); at == nil {
		t.b = append(t.b, "null"...)
		return
	}
	t.b = at.Append(t.b)
}

func (t *fileText) flaw(name string, flaw *files.Flaw) {
	if t.b = append(t.b, name...); flaw == nil {
		t.b = append(t.b, "null"...)
		return
	}
	t.any(*flaw)
}

func (t *fileText) any(value any) {
	raw, err := json.Marshal(value)
	if t.err == nil {
		t.err = err
	}
	t.b = append(t.b, raw...)
}
