package token

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"
)

const maxJSONDepth = 8

// reason says why a token was refused. It is for logs and never shown to a client.
type reason string

func (r reason) Error() string { return string(r) }

// object is a JSON object, its members undecoded.
type object map[string]json.RawMessage

// parseObject reads data as one JSON object in valid UTF-8, without duplicate names at any depth. Names are exact:
// `Sub` is not `sub`.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, reason("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := walkValue(dec, 0); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, reason("data after the JSON value")
	}
	var o object
	if err := json.Unmarshal(data, &o); err != nil || o == nil {
		return nil, reason("not a JSON object")
	}
	return o, nil
}

// walkValue reads one value and refuses duplicate names and great depth.
func walkValue(dec *json.Decoder, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return reason("not JSON")
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxJSONDepth {
		return reason("JSON too deep")
	}
	seen := map[string]bool{}
	for dec.More() {
		if open == '{' {
			name, err := dec.Token()
			if err != nil {
				return reason("not JSON")
			}
			s, _ := name.(string)
			if seen[s] {
				return reason("duplicate name")
			}
			seen[s] = true
		}
		if err := walkValue(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return reason("not JSON")
	}
	return nil
}

// text reads a member that must be a JSON string, or absent.
func (o object) text(name string) (string, error) {
	raw, ok := o[name]
	if !ok {
		return "", nil
	}
	s := ""
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", reason(name + " is not a string")
	}
	return s, nil
}

// texts reads a member that must be an array of strings, or absent.
func (o object) texts(name string) ([]string, error) {
	raw, ok := o[name]
	if !ok {
		return nil, nil
	}
	var items []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &items) != nil {
		return nil, reason(name + " is not an array")
	}
	list := make([]string, len(items))
	for i, item := range items {
		if item[0] != '"' || json.Unmarshal(item, &list[i]) != nil {
			return nil, reason(name + " holds more than strings")
		}
	}
	return list, nil
}

// integer reads a member that must be a whole number from 0 up, written plainly: no sign, fraction or exponent.
func (o object) integer(name string) (n int64, present bool, err error) {
	raw, ok := o[name]
	if !ok {
		return 0, false, nil
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, true, reason(name + " is not a whole number")
		}
	}
	if n, err = strconv.ParseInt(string(raw), 10, 64); err != nil || n > maxNumber {
		return 0, true, reason(name + " is too large")
	}
	return n, true, nil
}

// maxNumber is the largest whole number that every JSON reader keeps exact.
const maxNumber = 1<<53 - 1
