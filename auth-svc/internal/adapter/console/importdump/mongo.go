package importdump

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/lines"
	"cloakroom.dev/libs/sqldump"

	"cloakroom.dev/auth-svc/internal/identity"
)

// maxDocumentBytes bounds a line of mongoexport. A user of user-management has less than a kilobyte.
const maxDocumentBytes = 64 << 10

// fromMongo reads what mongoexport writes of user-management's collection: one document a line, in extended JSON.
func fromMongo(dump io.Reader, h Hash) next {
	in, line := bufio.NewReaderSize(dump, maxDocumentBytes), int64(0)
	return func() (identity.Incoming, int64, error) {
		for {
			raw, tooLong, err := lines.Next(in, nil)
			if err != nil {
				return identity.Incoming{}, line, err
			}
			line++
			raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")))
			switch {
			case tooLong:
				return refused("line", "TOO_LONG", fmt.Sprintf("must have at most %d bytes", maxDocumentBytes)), line, nil
			case len(raw) == 0:
			case raw[0] == '[' && line == 1:
				return identity.Incoming{}, line, &sqldump.Error{Line: line, What: "this is one array; export it without --jsonArray"}
			default:
				return document(raw, h), line, nil
			}
		}
	}
}

func refused(field, code, detail string) identity.Incoming {
	return identity.Incoming{Bad: []fault.Field{{Field: field, Code: code, Detail: detail}}}
}

// document makes a person of a line.
func document(raw []byte, h Hash) identity.Incoming {
	fields, bad := topLevel(raw)
	if bad != "" {
		return refused("line", "INVALID", bad)
	}
	d := reading{fields: fields}
	in := identity.Incoming{
		ID: d.id(), Username: d.text("username"), Password: h.of(d.text("hash"), d.text("salt")), CreatedAt: d.time("created_at"),
	}
	d.into("roles", &in.Roles)
	var blacklisted bool
	if d.into("blacklisted", &blacklisted); blacklisted {
		in.Status = identity.Blocked
	}
	in.Bad = d.bad
	return in
}

// topLevel takes an object apart. Fields that mean nothing here are a document's own business; one that stands there twice
// could mean either.
func topLevel(raw []byte) (fields map[string]json.RawMessage, bad string) {
	if !utf8.Valid(raw) {
		return nil, "is not valid UTF-8"
	}
	if !json.Valid(raw) {
		return nil, "is not valid JSON"
	}
	fields = map[string]json.RawMessage{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, _ := dec.Token(); t != json.Delim('{') {
		return nil, "must be a JSON object"
	}
	for dec.More() {
		key, _ := dec.Token()
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, "is not valid JSON"
		}
		name, _ := key.(string)
		if _, twice := fields[name]; twice {
			return nil, fmt.Sprintf("has the field %.40q twice", name)
		}
		fields[name] = value
	}
	return fields, ""
}

// reading reads fields of a document and remembers what is wrong with them.
type reading struct {
	fields map[string]json.RawMessage
	bad    []fault.Field
}

// into reads a field; one that is null or not there leaves to as it is.
func (d *reading) into(name string, to any) {
	if raw, ok := d.fields[name]; ok && json.Unmarshal(raw, to) != nil {
		d.bad = append(d.bad, fault.Field{Field: name, Code: "TYPE", Detail: "is not what user-management keeps there"})
	}
}

func (d *reading) text(name string) (text string) {
	d.into(name, &text)
	return text
}

// id is an ObjectId, or whatever text somebody has put in its place.
func (d *reading) id() string {
	raw := d.fields["_id"]
	if len(raw) == 0 || raw[0] != '{' {
		return d.text("_id")
	}
	var id struct {
		OID string `json:"$oid"`
	}
	d.into("_id", &id)
	return id.OID
}

// time is a text, {"$date": text} or {"$date": {"$numberLong": milliseconds}}.
func (d *reading) time(name string) (at time.Time) {
	raw := d.fields[name]
	if len(raw) > 0 && raw[0] == '{' {
		var date struct {
			Date json.RawMessage `json:"$date"`
		}
		d.into(name, &date)
		raw = date.Date
	}
	var text string
	var long struct {
		Milliseconds string `json:"$numberLong"`
	}
	ok := true
	switch {
	case len(raw) == 0 || string(raw) == "null":
	case json.Unmarshal(raw, &text) == nil:
		at, ok = parseTime(text)
	case json.Unmarshal(raw, &long) == nil:
		ms, err := strconv.ParseInt(long.Milliseconds, 10, 64)
		at = time.UnixMilli(ms).UTC()
		ok = err == nil && at.Year() >= 1 && at.Year() <= 9999
	default:
		ok = false
	}
	if !ok {
		d.bad = append(d.bad, fault.Field{Field: name, Code: "INVALID", Detail: "is not a time"})
		return time.Time{}
	}
	return at
}
