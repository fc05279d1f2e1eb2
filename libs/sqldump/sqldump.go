// Package sqldump reads the rows of single tables out of the text that mysqldump, mariadb-dump, pg_dump and SQLite's .dump
// write. It executes nothing: it knows CREATE TABLE (for the names of columns), INSERT and COPY, and passes over the rest.
//
// The flow: bytes ── scanner (tokens, lines) ──> Reader (statements) ──> one Row at a time. Memory is bounded whatever the
// dump holds: nothing of other tables is kept, and of a value too long to mean anything here only that it was. What is no
// literal, such as a call of a function, is never evaluated: the Value says that it can't be read. A dump that makes no
// sense ends with an *Error that names the line.
package sqldump

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Dialect is who wrote the dump.
type Dialect int

// The dialects.
const (
	// MySQL is mysqldump's and mariadb-dump's: backslashes escape, and double quotes may be around texts.
	MySQL Dialect = iota
	// Standard is pg_dump's and SQLite's: backslashes mean themselves, and double quotes are around names.
	Standard
)

const (
	// MaxValueBytes bounds a value. Of a longer one nothing is kept.
	MaxValueBytes = 64 << 10
	maxNameBytes  = 256
	maxColumns    = 1000
)

// Error is a dump that can't be read on.
type Error struct {
	Line int64
	What string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d of the dump: %s", e.Line, e.What) }

// Value is what stands in one column.
type Value struct {
	Text string
	Null bool
	Bad  string // why it can't be read; empty when it can
}

// Row is one row of a table.
type Row struct {
	Table   string // the name that the Reader was asked for
	Line    int64  // where it begins, counted from 1
	columns []string
	values  []Value
}

// Column is the value in the first of these columns that the row has. Names are compared without case and underscores:
// createdAt is created_at.
func (r Row) Column(names ...string) (v Value, ok bool) {
	for _, name := range names {
		if i := slices.Index(r.columns, plain(name)); i >= 0 {
			return r.values[i], true
		}
	}
	return Value{Null: true}, false
}

// plain is how names are compared.
func plain(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "") }

// Reader reads rows. It is for one goroutine.
type Reader struct {
	scanner
	wanted  []string            // as asked for
	columns map[string][]string // of wanted tables, as their CREATE TABLE says
	seen    bool                // one of the tables is in the dump
	rows    *rows               // what is being read; nil between statements
}

// rows is a statement that has rows.
type rows struct {
	table   string
	columns []string
	copied  bool // COPY: a row a line
}

// NewReader reads the rows of these tables, in whatever schema they are. Their names are compared as those of columns.
func NewReader(in io.Reader, d Dialect, tables ...string) (*Reader, error) {
	r := &Reader{
		scanner: scanner{in: bufio.NewReaderSize(in, 64<<10), dialect: d, line: 1},
		wanted:  tables, columns: map[string][]string{},
	}
	head, err := r.in.Peek(4 << 10)
	if len(head) == 0 && err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the dump: %w", err)
	}
	if what := notText(head, d); what != "" {
		return nil, &Error{Line: 1, What: what}
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		_, err = r.in.Discard(3)
		return r, err
	}
	return r, nil
}

// notText recognises what people give instead of a dump in text, and says what to do.
func notText(head []byte, d Dialect) string {
	for magic, what := range map[string]string{
		"PGDMP":               "this is pg_dump's own format; make text of it with: pg_restore --file=- DUMP",
		"SQLite format 3\x00": "this is a database, not a dump; make one with: sqlite3 DATABASE .dump",
		"\x1f\x8b":            "this is compressed; unpack it first (gunzip)",
		"\x28\xb5\x2f\xfd":    "this is compressed; unpack it first (unzstd)",
		"BZh":                 "this is compressed; unpack it first (bunzip2)",
		"PK\x03\x04":          "this is compressed; unpack it first (unzip)",
		"\xff\xfe":            "this is UTF-16; a dump is UTF-8",
		"\xfe\xff":            "this is UTF-16; a dump is UTF-8",
	} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return what
		}
	}
	mysql := bytes.Contains(head, []byte("-- MySQL dump")) || bytes.Contains(head, []byte("-- MariaDB dump"))
	other := bytes.Contains(head, []byte("-- PostgreSQL database dump")) || bytes.Contains(head, []byte("PRAGMA foreign_keys"))
	switch {
	case mysql && d != MySQL:
		return "this is a dump of MySQL; the system it is said to be from keeps its people elsewhere"
	case other && d == MySQL:
		return "this is no dump of MySQL, which the system it is said to be from keeps its people in"
	default:
		return ""
	}
}

// Next returns the next row, and io.EOF after the last. It returns *Error where the dump can't be read on, and when it has
// none of the tables.
func (r *Reader) Next() (Row, error) {
	for {
		row, found, err := r.step()
		if found || err != nil {
			return row, err
		}
	}
}

// step reads a row, or a statement up to its first row.
func (r *Reader) step() (row Row, found bool, err error) {
	switch {
	case r.rows == nil:
		return Row{}, false, r.statement()
	case r.rows.copied:
		return r.copyRow()
	default:
		row, err = r.insertRow()
		return row, err == nil, err
	}
}

// wants returns the asked name of a table that was asked for.
func (r *Reader) wants(table string) (name string, ok bool) {
	i := slices.IndexFunc(r.wanted, func(w string) bool { return plain(w) == plain(table) })
	if i < 0 {
		return "", false
	}
	r.seen = true
	return r.wanted[i], true
}

func (r *Reader) fail(format string, args ...any) error {
	return &Error{Line: r.line, What: fmt.Sprintf(format, args...)}
}
