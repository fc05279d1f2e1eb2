package sqldump

// copy reads the head of a COPY … FROM stdin.
func (r *Reader) copy() error {
	t, err := r.token()
	if err != nil {
		return err
	}
	table, err := r.tableName(t)
	if err != nil {
		return err
	}
	asked, wanted := r.wants(table)
	columns, t, err := r.columnList(asked)
	if err != nil {
		return err
	}
	from := t.keyword("FROM")
	if t, err = r.token(); err != nil {
		return err
	}
	if !from || !t.keyword("STDIN") {
		return r.fail("a COPY that is not from stdin")
	}
	if t, err = r.token(); err != nil {
		return err
	}
	switch {
	case !t.is(";"):
		return r.fail("a COPY in another form than pg_dump's own")
	case wanted && columns == nil:
		return r.fail("a COPY of %s before its CREATE TABLE, and without the names of its columns", asked)
	}
	if err := r.skipLine(); err != nil {
		return err
	}
	if !wanted {
		return r.skipCopy()
	}
	r.rows = &rows{table: asked, columns: columns, copied: true}
	return nil
}

// copyEnd is the line behind the last row.
const copyEnd = `\.`

func (r *Reader) skipCopy() error {
	began := r.line
	for {
		line, ok, err := r.shortLine()
		switch {
		case err != nil:
			return err
		case !ok:
			return r.errorf(began, "the dump ends inside the rows that begin here")
		case trimCR(line) == copyEnd:
			return nil
		}
	}
}

func trimCR(line string) string {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// copyRow reads one line; found is false for the one behind the last row.
func (r *Reader) copyRow() (row Row, found bool, err error) {
	row = Row{Table: r.rows.table, Line: r.line, columns: r.rows.columns}
	if r.peek(0) == '\\' && r.peek(1) == '.' {
		r.rows = nil
		return row, false, r.skipLine()
	}
	for last := false; !last; {
		var v Value
		if v, last, err = r.field(row.Line); err != nil {
			return row, false, err
		}
		if row.values = append(row.values, v); len(row.values) > maxColumns {
			return row, false, r.errorf(row.Line, "a row of more than %d values", maxColumns)
		}
	}
	if len(row.values) != len(row.columns) {
		return row, false, r.errorf(row.Line, "a row of %d values for %d columns", len(row.values), len(row.columns))
	}
	return row, true, nil
}

// field reads up to the next tab, or to the end of the line.
func (r *Reader) field(began int64) (v Value, last bool, err error) {
	var buf []byte
	for {
		c, ok, err := r.next()
		switch {
		case err != nil:
			return v, false, err
		case !ok:
			return v, false, r.errorf(began, "the dump ends inside a row")
		case c == '\t' || c == '\n':
			v.Text = string(buf)
			return v, c == '\n', nil
		case c == '\\':
			if c, ok, err = r.next(); err != nil || !ok {
				return v, false, r.errorf(began, "the dump ends inside a row")
			}
			switch {
			case c == 'N' && len(buf) == 0 && (r.peek(0) == '\t' || r.peek(0) == '\n' || r.peek(0) == '\r'):
				v.Null = true
				continue
			case isDigit(c) || c == 'x':
				v.Bad = notLiteral // pg_dump writes no bytes by number
			}
			c = unescape(c)
		case c == '\r' && r.peek(0) == '\n': // a dump that was carried through another system; a real one is written \r
			continue
		}
		if v.Bad == "" {
			buf = append(buf, c)
		}
		if len(buf) > MaxValueBytes {
			buf, v.Bad = nil, tooLong
		}
	}
}
