package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
)

// maxDepth bounds how deep a body may nest. Nothing of ours goes past four.
const maxDepth = 32

// maxValues bounds how many values a body may have: a megabyte of small ones costs a hundred times what one large one does.
// No call of ours has a tenth of it.
const maxValues = 20_000

// maxMembers bounds one object. None of ours has a tenth of it.
const maxMembers = 1000

// object keeps the order and the repetition of keys, which a map would hide.
type object []member

type member struct {
	key   string
	value any
}

// decodeStrict reads one JSON object into v, a struct, and lists its members and every field that does not fit. It is stricter than
// encoding/json, which takes `Email` for `email`, lets the last of two equal keys win, and turns broken text into U+FFFD. The
// error is for a body that is no JSON object at all.
func decodeStrict(raw []byte, v reflect.Value) (members []string, bad []fault.Field, err error) {
	if !utf8.Valid(raw) || loneSurrogate(raw) {
		return nil, nil, fault.New(fault.Invalid, "the body is not valid UTF-8")
	}
	p := parser{Decoder: json.NewDecoder(bytes.NewReader(raw)), left: maxValues}
	p.UseNumber()
	tree, err := p.value(0)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Invalid, parseDetail(err), err)
	}
	if _, err := p.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, fault.New(fault.Invalid, "the body has more than one JSON value")
	}
	o, ok := tree.(object)
	if !ok {
		return nil, nil, fault.New(fault.Invalid, "the body must be a JSON object")
	}
	var a assigner
	a.assign("", o, v)
	for _, m := range o {
		members = append(members, m.key)
	}
	return members, a.bad, nil
}

var (
	errTooDeep = errors.New("too deep")
	errTooMany = errors.New("too many values")
)

func parseDetail(err error) string {
	switch {
	case errors.Is(err, errTooDeep):
		return fmt.Sprintf("the body nests deeper than %d", maxDepth)
	case errors.Is(err, errTooMany):
		return fmt.Sprintf("the body has more than %d values", maxValues)
	}
	return "the body is not valid JSON"
}

// parser reads a tree, no larger than it may be.
type parser struct {
	*json.Decoder
	left int // values it may still read
}

func (p *parser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	if p.left--; p.left < 0 {
		return nil, errTooMany
	}
	t, err := p.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		return p.object(depth)
	case json.Delim('['):
		return p.array(depth)
	default:
		return t, nil
	}
}

func (p *parser) object(depth int) (any, error) {
	o := object{}
	for p.More() {
		key, err := p.Token()
		if err != nil {
			return nil, err
		}
		value, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o = append(o, member{key.(string), value}) //nolint:forcetypeassert // a key is a string or the decoder failed
	}
	_, err := p.Token()
	return o, err
}

func (p *parser) array(depth int) (any, error) {
	list := []any{}
	for p.More() {
		value, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := p.Token()
	return list, err
}

// loneSurrogate finds an escaped UTF-16 surrogate without its partner.
func loneSurrogate(raw []byte) bool {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++ // what is escaped, so that an escaped backslash begins nothing
		switch r, ok := escaped(raw[i:]); {
		case !ok || r < 0xd800 || r > 0xdfff:
		case r >= 0xdc00:
			return true
		default:
			rest := raw[min(i+5, len(raw)):]
			low, ok := rune(0), false
			if len(rest) > 1 && rest[0] == '\\' {
				low, ok = escaped(rest[1:])
			}
			if !ok || low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 10
		}
	}
	return false
}

func escaped(s []byte) (rune, bool) {
	if len(s) < 5 || s[0] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[1:5]), 16, 32)
	return rune(n), err == nil
}

// maxBad bounds how many faults of one body are told: a small body can be wrong in very many places.
const maxBad = 100

// assigner puts a parsed tree into Go values and remembers what did not fit.
type assigner struct{ bad fault.Bad }

func (a *assigner) refuse(path, code, detail string) {
	if len(a.bad) == maxBad {
		code, detail = "TOO_MANY", "here and further on there is more that does not fit"
	}
	a.bad.Refuse(path, code, detail)
}

// full says that nothing more will be told, so nothing more needs to be looked at.
func (a *assigner) full() bool { return len(a.bad) > maxBad }

func (a *assigner) assign(path string, node any, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		if node == nil {
			v.SetZero()
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if u, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		if raw, err := json.Marshal(plain(node)); err != nil || u.UnmarshalJSON(raw) != nil {
			a.refuse(path, "INVALID", wantedForm(u))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		a.assignStruct(path, node, v)
	case reflect.Slice:
		a.assignSlice(path, node, v)
	case reflect.Map:
		a.assignMap(path, node, v)
	case reflect.Interface:
		v.Set(reflect.ValueOf(&node).Elem())
	default:
		a.assignScalar(path, node, v)
	}
}

func (a *assigner) assignStruct(path string, node any, v reflect.Value) {
	o, ok := node.(object)
	if !ok {
		a.refuse(path, "TYPE", "must be an object")
		return
	}
	fields := jsonFields(v.Type())
	for _, m := range a.unique(path, o) {
		index, known := fields[m.key]
		if !known {
			a.refuse(join(path, m.key), "UNKNOWN", "this field is not known here")
			continue
		}
		a.assign(join(path, m.key), m.value, v.FieldByIndex(index))
	}
}

func (a *assigner) unique(path string, o object) []member {
	if len(o) > maxMembers {
		a.refuse(path, "TOO_MANY", "has too many members")
		return nil
	}
	seen, once := make(map[string]bool, len(o)), o[:0:0]
	for _, m := range o {
		if seen[m.key] {
			a.refuse(join(path, m.key), "DUPLICATE", "give it once")
			continue
		}
		seen[m.key] = true
		once = append(once, m)
	}
	return once
}

func (a *assigner) assignSlice(path string, node any, v reflect.Value) {
	list, ok := node.([]any)
	if !ok {
		a.refuse(path, "TYPE", "must be an array")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
	for i, item := range list {
		if a.full() {
			return
		}
		a.assign(fmt.Sprintf("%s[%d]", path, i), item, v.Index(i))
	}
}

func (a *assigner) assignMap(path string, node any, v reflect.Value) {
	o, ok := node.(object)
	if !ok {
		a.refuse(path, "TYPE", "must be an object")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, m := range a.unique(path, o) {
		item := reflect.New(v.Type().Elem()).Elem()
		a.assign(join(path, m.key), m.value, item)
		v.SetMapIndex(reflect.ValueOf(m.key), item)
	}
}

func (a *assigner) assignScalar(path string, node any, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if s, ok := node.(string); ok {
			v.SetString(s)
			return
		}
		a.refuse(path, "TYPE", "must be a string")
	case reflect.Bool:
		if b, ok := node.(bool); ok {
			v.SetBool(b)
			return
		}
		a.refuse(path, "TYPE", "must be true or false")
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, ok := node.(json.Number)
		i, err := strconv.ParseInt(string(n), 10, v.Type().Bits())
		if ok && err == nil {
			v.SetInt(i)
			return
		}
		a.refuse(path, "TYPE", "must be a whole number in range")
	default:
		panic("web: a body can't hold a " + v.Type().String())
	}
}

func jsonFields(t reflect.Type) map[string][]int {
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		if tag, ok := f.Tag.Lookup("json"); ok && f.IsExported() {
			name, _, _ := strings.Cut(tag, ",")
			fields[name] = f.Index
		}
	}
	return fields
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// plain makes maps of objects again, for types that read JSON themselves.
func plain(node any) any {
	switch n := node.(type) {
	case object:
		m := make(map[string]any, len(n))
		for _, member := range n {
			m[member.key] = plain(member.value)
		}
		return m
	case []any:
		list := make([]any, len(n))
		for i, item := range n {
			list[i] = plain(item)
		}
		return list
	default:
		return node
	}
}
