package importfiles

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/sqldump"
)

// restAuthFiles reads MySQL's table of rest-auth-files: id, name, extension (with its dot), mime_type, size, uploaded_at,
// and whose it is, where somebody has added that: its own program lets everybody see every file. The bytes lie in the
// uploads folder under id and extension.
type restAuthFiles struct{ rows *sqldump.Reader }

// Next returns the next row.
func (r restAuthFiles) Next() (Item, error) {
	row, err := r.rows.Next()
	if err != nil {
		return Item{}, err
	}
	i := Item{Line: row.Line, Size: -1}
	text := func(field string, columns ...string) string {
		v, _ := row.Column(columns...)
		switch {
		case v.Bad != "":
			i.Bad = append(i.Bad, fault.Field{Field: field, Code: "INVALID", Detail: v.Bad + " in the dump"})
		case !plainText(v.Text):
			i.Bad = append(i.Bad, fault.Field{Field: field, Code: "INVALID", Detail: "is not valid UTF-8"})
			return ""
		}
		return v.Text
	}
	i.ID, i.Name, i.ContentType = text("id", "id"), unmangled(text("name", "name")), text("content_type", "mime_type")
	i.Owner = text("owner", "user_id", "owner_id", "owner")
	i.Path = i.ID + text("path", "extension")
	if size := text("size", "size"); size != "" {
		if i.Size, err = strconv.ParseInt(size, 10, 64); err != nil || i.Size < 0 {
			i.Bad = append(i.Bad, fault.Field{Field: "size", Code: "INVALID", Detail: "is not a size in the dump"})
		}
	}
	at := text("created_at", "uploaded_at")
	if at != "" && !strings.HasPrefix(at, "0000-00-00") {
		if i.CreatedAt, err = time.Parse(time.DateTime, at); err != nil {
			i.Bad = append(i.Bad, fault.Field{Field: "created_at", Code: "INVALID", Detail: "is not a time in the dump"})
		}
	}
	return i, nil
}

// unmangled undoes what multer does to names: it takes the bytes of their UTF-8 for letters of Latin-1, so that Ü becomes two.
// A name whose letters, taken as bytes again, are UTF-8 was one of those; any other is left as it is.
func unmangled(name string) string {
	raw := make([]byte, 0, len(name))
	for _, r := range name {
		if r > 0xff {
			return name
		}
		raw = append(raw, byte(r))
	}
	if !utf8.Valid(raw) {
		return name
	}
	return string(raw)
}
