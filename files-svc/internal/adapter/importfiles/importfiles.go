// Package importfiles reads what the import of files is given: the list of files (NDJSON, or the dump of a system), the map
// that says who is who, and the folder their bytes lie in.
//
// All three are input. The list is read one file at a time, in bounded memory; nothing of a dump is executed. What is wrong
// with one file refuses that file; a dump that makes no sense ends with an error that names the line. No path leads out of
// the folder, and only plain files are opened.
package importfiles

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/lines"
	"cloakroom.dev/libs/sqldump"
	"cloakroom.dev/libs/web"
)

// Item is one file to import, or what is wrong with its line.
type Item struct {
	Line int64
	Bad  []fault.Field // nothing else counts then

	ID          string // there
	Owner       string // their id there; empty: UserID, or nobody was named
	UserID      string // their id here
	Path        string // in the folder
	Name        string
	ContentType string
	Size        int64  // -1: not said
	SHA256      string // hex; empty: not said
	CreatedAt   time.Time
}

// List reads files. It is for one goroutine.
type List interface {
	// Next returns io.EOF after the last.
	Next() (Item, error)
}

// Systems are those whose dumps can be read.
var Systems = []string{"rest-auth-files"}

// maxLineBytes bounds a line of NDJSON: a path, a name and a few words.
const maxLineBytes = 64 << 10

// NDJSON reads one file a line.
type NDJSON struct {
	in   *bufio.Reader
	line int64
}

// NewNDJSON begins at the first byte.
func NewNDJSON(in io.Reader) *NDJSON { return &NDJSON{in: bufio.NewReaderSize(in, maxLineBytes)} }

// entry is a line. Null counts as left out.
type entry struct {
	ID          *string   `json:"id"`
	Owner       *string   `json:"owner"`
	UserID      *string   `json:"user_id"`
	Path        *string   `json:"path"`
	Name        *string   `json:"name"`
	ContentType *string   `json:"content_type"`
	Size        *int64    `json:"size"`
	SHA256      *string   `json:"sha256"`
	CreatedAt   *web.Time `json:"created_at"`
}

// Next returns the next line that is not blank.
func (n *NDJSON) Next() (Item, error) {
	for {
		raw, tooLong, err := lines.Next(n.in, nil)
		if err != nil {
			return Item{}, err
		}
		n.line++
		raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")))
		switch {
		case tooLong:
			return Item{Line: n.line, Bad: refuse("line", "TOO_LONG", fmt.Sprintf("must have at most %d bytes", maxLineBytes))}, nil
		case len(raw) > 0:
			return item(raw, n.line), nil
		}
	}
}

func refuse(field, code, detail string) []fault.Field {
	return []fault.Field{{Field: field, Code: code, Detail: detail}}
}

// item makes a file of a line. A file without an id is known by its path, and without a name is called as its path ends.
func item(raw []byte, line int64) Item {
	var e entry
	if err := web.Decode(raw, &e); err != nil {
		return Item{Line: line, Bad: reasons(err)}
	}
	i := Item{
		Line: line, ID: value(e.ID), Owner: value(e.Owner), UserID: value(e.UserID), Path: value(e.Path), Name: value(e.Name),
		ContentType: value(e.ContentType), Size: -1, SHA256: value(e.SHA256), CreatedAt: time.Time(value(e.CreatedAt)),
	}
	if e.Size != nil {
		i.Size = *e.Size
	}
	if i.ID == "" {
		i.ID = i.Path
	}
	if i.Name == "" {
		i.Name = path.Base(i.Path)
	}
	switch {
	case i.Path == "":
		i.Bad = refuse("path", "REQUIRED", "say where the file lies in the folder")
	case i.Owner != "" && i.UserID != "":
		i.Bad = refuse("owner", "INVALID", "owner and user_id can't both be given")
	case e.Size != nil && *e.Size < 0:
		i.Bad = refuse("size", "INVALID", "must not be negative")
	}
	return i
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// reasons are the fields a fault names, or the fault itself.
func reasons(err error) []fault.Field {
	var f *fault.Error
	if !errors.As(err, &f) {
		return refuse("line", "INVALID", "can't be read")
	}
	if len(f.Fields) > 0 {
		return f.Fields
	}
	return refuse("line", "INVALID", strings.ReplaceAll(f.Detail, "the body", "the line"))
}

// Open begins to read the dump of a system.
func Open(system string, dump io.Reader) (List, error) {
	if system != Systems[0] {
		return nil, fmt.Errorf("there is no system %q with files; there are %s", system, strings.Join(Systems, ", "))
	}
	rows, err := sqldump.NewReader(dump, sqldump.MySQL, "files")
	if err != nil {
		return nil, err
	}
	return restAuthFiles{rows}, nil
}

// plainText reports whether a text can stand in a report and in a row.
func plainText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
