// Package importdump reads people out of the database dumps of the systems whose clients Cloakroom speaks to.
//
// A dump is turned into the same Incoming as a line of NDJSON (package importfile), one person at a time, in bounded memory,
// and nothing of it is executed. The cursor counts people; its digest is that of everybody read so far, so a second run with the
// same dump and the same flags goes on behind the last person who is in. What is wrong with one person refuses that person; a
// dump that makes no sense ends the import with the line where it stops to.
package importdump

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/sqldump"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Systems are those whose dumps can be read.
var Systems = []string{"rest-auth-files", "user-management", "siteworks", "trackit"}

// ErrNobody is for a system that keeps no people.
var ErrNobody = errors.New("medods keeps families of refresh tokens and nobody's name or password: there are no people in its dump. " +
	"Import them from where their ids come from; its sessions end with the move")

// Options is what dumps don't say themselves.
type Options struct {
	Hash Hash // how user-management has hashed; zero: as its program does
}

// next reads a person, and the line of the dump they begin at. io.EOF is the end.
type next func() (in identity.Incoming, line int64, err error)

// People reads people. It is for one goroutine.
type People struct {
	next   next
	digest hash.Hash
	at     identity.ImportCursor
}

// Open begins to read the dump of a system.
func Open(system string, dump io.Reader, opts Options) (*People, error) {
	var read next
	var err error
	switch system {
	case "rest-auth-files":
		read, err = fromSQL(dump, sqldump.MySQL, "users", restAuthFiles)
	case "siteworks":
		read, err = fromSQL(dump, sqldump.Standard, "users", siteworks, "User")
	case "trackit":
		read, err = fromSQL(dump, sqldump.Standard, "users", trackit)
	case "user-management":
		read = fromMongo(dump, opts.Hash)
	case "medods":
		return nil, ErrNobody
	default:
		return nil, fmt.Errorf("there is no system %q; there are %s", system, strings.Join(Systems, ", "))
	}
	if err != nil {
		return nil, err
	}
	return &People{next: read, digest: sha256.New()}, nil
}

// Next returns the next person, and io.EOF after the last.
func (p *People) Next() (identity.Incoming, error) {
	in, line, err := p.next()
	if err != nil {
		return identity.Incoming{}, err
	}
	in.InDump = line
	if field := notText(in); field != "" {
		in = identity.Incoming{InDump: line, Bad: []fault.Field{{Field: field, Code: "INVALID", Detail: "is not valid UTF-8"}}}
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return identity.Incoming{}, fmt.Errorf("read the dump: %w", err)
	}
	p.digest.Write(raw)
	p.at.Lines++
	p.at.Bytes += int64(len(raw))
	p.digest.Sum(p.at.Digest[:0])
	in.End = p.at
	return in, nil
}

// notText is the field that JSON, and so the digest, could not tell from another.
func notText(in identity.Incoming) string {
	for _, f := range []struct{ name, text string }{
		{"id", in.ID}, {"email", in.Email}, {"phone", in.Phone}, {"username", in.Username}, {"name", in.Name},
		{"roles", strings.Join(in.Roles, "")}, {"password", in.Password.Encoded + in.Password.Hash + in.Password.Salt},
	} {
		if !utf8.ValidString(f.text) {
			return f.name
		}
	}
	return ""
}

// Skip reads up to a place where a former run has been, and reports whether the people are the same up to there. After false
// the People are of no more use.
func (p *People) Skip(to identity.ImportCursor) (same bool, err error) {
	for p.at.Lines < to.Lines {
		switch _, err := p.Next(); {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		}
	}
	return to.Lines == 0 || p.at == to, nil
}

// row reads the columns of a row and remembers what is wrong with them.
type row struct {
	sqldump.Row
	bad []fault.Field
}

// text is the value of the first of these columns that there is; field is what a report calls it.
func (r *row) text(field string, columns ...string) string {
	v, _ := r.Column(columns...)
	if v.Bad != "" {
		r.bad = append(r.bad, fault.Field{Field: field, Code: "INVALID", Detail: v.Bad + " in the dump"})
	}
	return v.Text
}

// flag is a boolean in any of the ways in which dumps write it; nothing is the default.
func (r *row) flag(field string, byDefault bool, columns ...string) bool {
	switch text := r.text(field, columns...); strings.ToLower(text) {
	case "":
		return byDefault
	case "t", "true", "1":
		return true
	case "f", "false", "0":
		return false
	default:
		r.bad = append(r.bad, fault.Field{Field: field, Code: "INVALID", Detail: "is neither true nor false in the dump"})
		return byDefault
	}
}

// time is a moment; without a zone it is in UTC. Nothing, and MySQL's zero, are the zero time.
func (r *row) time(field string, columns ...string) time.Time {
	at, ok := parseTime(r.text(field, columns...))
	if !ok {
		r.bad = append(r.bad, fault.Field{Field: field, Code: "INVALID", Detail: "is not a time in the dump"})
	}
	return at
}

var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05", "2006-01-02T15:04:05"}

func parseTime(text string) (at time.Time, ok bool) {
	if text == "" || strings.HasPrefix(text, "0000-00-00") {
		return time.Time{}, true
	}
	for _, layout := range layouts { // a fraction behind the seconds is taken by each
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// fromSQL reads the rows of a table, which may have other names too.
func fromSQL(dump io.Reader, d sqldump.Dialect, table string, person func(r *row) identity.Incoming, otherNames ...string) (next, error) {
	reader, err := sqldump.NewReader(dump, d, slices.Concat([]string{table}, otherNames)...)
	if err != nil {
		return nil, err
	}
	return func() (identity.Incoming, int64, error) {
		found, err := reader.Next()
		if err != nil {
			return identity.Incoming{}, 0, err
		}
		r := &row{Row: found}
		in := person(r)
		in.Bad = r.bad
		return in, found.Line, nil
	}, nil
}
