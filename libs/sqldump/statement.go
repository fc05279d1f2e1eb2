package sqldump

import (
	"encoding/hex"
	"io"
	"slices"
	"strings"
)

// statement reads a statement, or its head when rows follow.
func (r *Reader) statement() error {
	t, err := r.token()
	switch {
	case err != nil:
		return err
	case t.kind == end && !r.seen:
		return r.fail("there is no table %s in it", strings.Join(r.wanted, " and no table "))
	case t.kind == end:
		return io.EOF
	case t.is(";"):
		return nil
	case t.is(`\`): // a command for psql
		return r.skipLine()
	case t.keyword("CREATE"):
		return r.create()
	case t.keyword("INSERT", "REPLACE"):
		return r.insert()
	case t.keyword("COPY"):
		return r.copy()
	case t.keyword("DELIMITER") && r.dialect == MySQL:
		return r.routine()
	default:
		return r.skip()
	}
}

// skip passes over the rest of a statement.
func (r *Reader) skip() error { return r.skipTo(false) }

// skipBody passes over the rest of what may have a body between BEGIN and END, with statements of its own.
func (r *Reader) skipBody() error { return r.skipTo(true) }

func (r *Reader) skipTo(bodies bool) error {
	began, depth := r.line, 0
	for {
		t, err := r.token()
		switch {
		case err != nil:
			return err
		case t.kind == end:
			return r.errorf(began, "the dump ends inside the statement that begins here")
		case bodies && t.keyword("BEGIN", "CASE"):
			depth++
		case bodies && t.keyword("END"):
			depth--
		case t.is(";") && depth <= 0:
			return nil
		}
	}
}

// routine passes over what stands between two DELIMITER lines: routines and triggers.
func (r *Reader) routine() error {
	began := r.line
	line, _, err := r.shortLine()
	if err != nil || strings.TrimSpace(line) == ";" {
		return err
	}
	for {
		line, ok, err := r.shortLine()
		switch {
		case err != nil:
			return err
		case !ok:
			return r.errorf(began, "the dump ends behind the DELIMITER that stands here")
		}
		if f := strings.Fields(line); len(f) == 2 && strings.EqualFold(f[0], "DELIMITER") && f[1] == ";" {
			return nil
		}
	}
}

// shortLine reads a line and returns its beginning.
func (r *Reader) shortLine() (line string, ok bool, err error) {
	var buf []byte
	for {
		c, more, err := r.next()
		if err != nil || !more || c == '\n' {
			return string(buf), more || len(buf) > 0, err
		}
		if len(buf) < maxNameBytes {
			buf = append(buf, c)
		}
	}
}

// create takes the names of columns out of a CREATE TABLE.
func (r *Reader) create() error {
	for {
		t, err := r.token()
		switch {
		case err != nil:
			return err
		case t.keyword("TABLE"):
			return r.createTable()
		case t.keyword("TRIGGER", "FUNCTION", "PROCEDURE", "EVENT"):
			return r.skipBody()
		case t.is(";"):
			return nil
		case t.kind != word:
			r.push(t)
			return r.skip()
		}
	}
}

func (r *Reader) createTable() error {
	t, err := r.token()
	for err == nil && t.keyword("IF", "NOT", "EXISTS") {
		t, err = r.token()
	}
	if err != nil {
		return err
	}
	table, err := r.tableName(t)
	if err != nil {
		return err
	}
	asked, wanted := r.wants(table)
	t, err = r.token()
	if err != nil {
		return err
	}
	if !wanted || !t.is("(") {
		r.push(t)
		return r.skip()
	}
	columns, err := r.definitions()
	if err != nil {
		return err
	}
	if r.columns[asked] != nil {
		return r.fail("a second table %s; make a dump of one database", asked)
	}
	r.columns[asked] = columns
	return r.skip()
}

// definitions reads the parts of a CREATE TABLE up to its closing bracket.
func (r *Reader) definitions() (columns []string, err error) {
	began, depth, first := r.line, 1, true
	for {
		t, err := r.token()
		switch {
		case err != nil:
			return nil, err
		case t.kind == end || t.is(";"):
			return nil, r.errorf(began, "a CREATE TABLE that doesn't end")
		case t.is("("):
			depth++
		case t.is(")"):
			if depth--; depth == 0 {
				return columns, nil
			}
		case t.is(",") && depth == 1:
			first = true
			continue
		case first && (t.kind == name || t.kind == word && !t.keyword("PRIMARY", "UNIQUE", "KEY", "INDEX", "CONSTRAINT", "FOREIGN",
			"CHECK", "FULLTEXT", "SPATIAL", "EXCLUDE", "LIKE", "PERIOD")):
			if columns = append(columns, plain(t.text)); len(columns) > maxColumns {
				return nil, r.fail("a table of more than %d columns", maxColumns)
			}
		}
		first = false
	}
}

// tableName reads the rest of a name that may stand behind that of a schema. Schemas other than Postgres's own default keep
// their names: a table of theirs is another.
func (r *Reader) tableName(t token) (string, error) {
	for schema := ""; ; {
		if t.kind != word && t.kind != name {
			return "", r.fail("a statement without the name of its table")
		}
		table := t.text
		next, err := r.token()
		if err != nil {
			return "", err
		}
		if !next.is(".") {
			r.push(next)
			return schema + table, nil
		}
		if r.dialect == Standard && table != "public" {
			schema = table + "."
		}
		if t, err = r.token(); err != nil {
			return "", err
		}
	}
}

// insert reads the head of an INSERT.
func (r *Reader) insert() error {
	t, err := r.token()
	for err == nil && t.kind == word && !t.keyword("INTO") {
		t, err = r.token()
	}
	if err == nil && !t.keyword("INTO") {
		return r.fail("an INSERT that doesn't say into what")
	}
	var table string
	if t, err = r.tokenAfter(err); err == nil {
		table, err = r.tableName(t)
	}
	if err != nil {
		return err
	}
	asked, wanted := r.wants(table)
	if !wanted {
		return r.skip()
	}
	columns, t, err := r.columnList(asked)
	for err == nil && t.kind == word && !t.keyword("VALUES", "SELECT", "DEFAULT") {
		t, err = r.token()
	}
	switch {
	case err != nil:
		return err
	case !t.keyword("VALUES"):
		return r.fail("an INSERT into %s without plain values", asked)
	case columns == nil:
		return r.fail("an INSERT into %s before its CREATE TABLE, and without the names of its columns", asked)
	}
	r.rows = &rows{table: asked, columns: columns}
	return nil
}

func (r *Reader) tokenAfter(err error) (token, error) {
	if err != nil {
		return token{}, err
	}
	return r.token()
}

// columnList reads the columns that a statement names, and the token behind. A statement that names none means all.
func (r *Reader) columnList(table string) (columns []string, behind token, err error) {
	t, err := r.token()
	if err != nil || !t.is("(") {
		return r.columns[table], t, err
	}
	for {
		t, err := r.token()
		switch {
		case err != nil:
			return nil, t, err
		case t.is(")"):
			behind, err = r.token()
			return columns, behind, err
		case t.is(","):
			continue
		case t.kind != word && t.kind != name || slices.Contains(columns, plain(t.text)) || len(columns) >= maxColumns:
			return nil, t, r.fail("a list of columns that makes no sense")
		}
		columns = append(columns, plain(t.text))
	}
}

// insertRow reads one row, and what stands behind it.
func (r *Reader) insertRow() (Row, error) {
	t, err := r.token()
	if err != nil {
		return Row{}, err
	}
	row := Row{Table: r.rows.table, Line: r.line, columns: r.rows.columns}
	if !t.is("(") {
		return row, r.fail("an INSERT that doesn't go on with a row")
	}
	for done := false; !done; {
		var v Value
		if v, done, err = r.value(); err != nil {
			return row, err
		}
		if row.values = append(row.values, v); len(row.values) > maxColumns {
			return row, r.fail("a row of more than %d values", maxColumns)
		}
	}
	if len(row.values) != len(row.columns) {
		return row, r.errorf(row.Line, "a row of %d values for %d columns", len(row.values), len(row.columns))
	}
	t, err = r.token()
	switch {
	case err != nil || t.is(","):
		return row, err
	case t.is(";"):
		r.rows = nil
		return row, nil
	case t.kind == word: // ON CONFLICT and the like
		r.rows = nil
		return row, r.skip()
	default:
		return row, r.fail("an INSERT that ends in the middle")
	}
}

// value reads a value and the sign behind it; last says that this was the bracket.
func (r *Reader) value() (v Value, last bool, err error) {
	t, err := r.token()
	if err != nil {
		return v, false, err
	}
	if t.kind == word && r.dialect == MySQL && t.text[0] == '_' { // _binary 'text'
		if t, err = r.token(); err != nil {
			return v, false, err
		}
	}
	if t.kind == end || t.is(",;") {
		return v, false, r.fail("a row that lacks a value")
	}
	v = r.literal(t)
	if t.is("()") {
		r.push(t)
	}
	for depth, cast := 0, false; ; {
		t, err := r.token()
		switch {
		case err != nil:
			return v, false, err
		case t.kind == end || t.is(";"):
			return v, false, r.fail("the statement ends inside a row")
		case t.is(",") && depth == 0:
			return v, false, nil
		case t.is(")") && depth == 0:
			return v, true, nil
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		}
		// 'text'::type is plain enough.
		if cast = t.is(":") || cast && (t.kind == word || t.kind == name || t.is("()[].")); !cast {
			v = Value{Bad: notLiteral}
		}
	}
}

func (r *Reader) literal(t token) Value {
	switch {
	case t.bad != "":
		return Value{Bad: t.bad}
	case t.kind == text:
		return Value{Text: t.text}
	case t.keyword("NULL"):
		return Value{Null: true}
	case t.keyword("TRUE", "FALSE"):
		return Value{Text: strings.ToLower(t.text)}
	case t.kind == word && r.dialect == MySQL && strings.HasPrefix(t.text, "0x"):
		raw, err := hex.DecodeString(t.text[2:])
		if err != nil {
			return Value{Bad: "is no hex"}
		}
		return Value{Text: string(raw)}
	case t.kind == word && strings.IndexByte("+-.0123456789", t.text[0]) >= 0:
		return Value{Text: t.text}
	default:
		return Value{Bad: notLiteral}
	}
}
