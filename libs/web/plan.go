package web

import (
	"cmp"
	"encoding"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cloakroom.dev/libs/fault"
)

// plan is how an input type is filled, worked out once per handler. Mistakes in the type panic when routes are mounted.
type plan struct {
	body   bool
	params []param
}

type param struct {
	in    string // path, query or header
	name  string
	index []int
}

type validator interface{ Validate() []fault.Field }

func planFor[In any]() plan {
	t := reflect.TypeFor[In]()
	if t.Kind() != reflect.Struct {
		panic("web: the input of a handler must be a struct, not " + t.String())
	}
	var p plan
	for _, f := range reflect.VisibleFields(t) {
		if _, ok := f.Tag.Lookup("json"); ok {
			p.body = true
		}
		for _, in := range []string{"path", "query", "header"} {
			if name, ok := f.Tag.Lookup(in); ok {
				p.params = append(p.params, param{in, name, f.Index})
			}
		}
	}
	return p
}

// decode fills in, which points to a struct. When something is wrong with it, also says what else is.
func (p plan) decode(w http.ResponseWriter, r *http.Request, in any, also func() []fault.Field) error {
	v := reflect.ValueOf(in).Elem()
	names := QueryNames(r)
	bad := p.parameters(r, v, names)
	if p.body {
		raw, err := readJSON(w, r)
		if err != nil {
			return err
		}
		members, fields, err := decodeStrict(raw, v)
		if err != nil {
			return err
		}
		bad = append(bad, fields...)
		names = append(names, members...)
	}
	if val, ok := in.(validator); ok {
		bad = append(bad, unseen(bad, val.Validate())...)
	}
	if len(bad) == 0 {
		return nil
	}
	bad = append(bad, unseen(bad, also())...)
	return fault.Validation(asTheyCame(bad, names)...)
}

// asTheyCame brings fields into the order in which the request named them; behind them come those that it lacks.
func asTheyCame(bad []fault.Field, names []string) []fault.Field {
	place := make(map[string]int, len(names))
	for i, name := range slices.Backward(names) {
		place[name] = i
	}
	at := func(f fault.Field) int {
		for _, name := range []string{f.Field, f.Field[:max(0, strings.IndexAny(f.Field, ".["))]} {
			if i, ok := place[name]; ok {
				return i
			}
		}
		return len(names)
	}
	slices.SortStableFunc(bad, func(a, b fault.Field) int { return cmp.Compare(at(a), at(b)) })
	return bad
}

// QueryNames is the names of the query's parameters, each once, in the order in which they came.
func QueryNames(r *http.Request) (names []string) {
	if r.URL.RawQuery == "" {
		return nil
	}
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		raw, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(raw)
		if err == nil && pair != "" && !seen[name] { // what can't be read has been refused by the Mux
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// unseen drops what Validate says of fields that could not even be read: `required` beside `wrong type` helps nobody.
func unseen(seen, more []fault.Field) []fault.Field {
	return slices.DeleteFunc(more, func(m fault.Field) bool {
		return slices.ContainsFunc(seen, func(s fault.Field) bool { return s.Field == m.Field })
	})
}

func (p plan) parameters(r *http.Request, v reflect.Value, given []string) (bad []fault.Field) {
	query := r.URL.Query()
	for _, name := range given {
		if !slices.ContainsFunc(p.params, func(q param) bool { return q.in == "query" && q.name == name }) {
			bad = append(bad, fault.Field{Field: name, Code: "UNKNOWN", Detail: "this query parameter is not known here"})
		}
	}
	for _, q := range p.params {
		var values []string
		switch q.in {
		case "path":
			values = []string{Var(r, q.name)}
		case "query":
			values = query[q.name]
		case "header":
			values = r.Header.Values(q.name)
		}
		if detail := q.set(v.FieldByIndex(q.index), values); detail != "" {
			bad = append(bad, fault.Field{Field: q.name, Code: "INVALID", Detail: detail})
		}
	}
	return bad
}

func (q param) set(field reflect.Value, values []string) (detail string) {
	switch len(values) {
	case 0:
		return ""
	case 1:
		return setText(field, values[0])
	default:
		return "give it once"
	}
}

// wantedForm tells which form a type that reads itself takes, when it has a word for that: `Form() string`.
func wantedForm(v any) string {
	if f, ok := v.(interface{ Form() string }); ok {
		return f.Form()
	}
	return "has the wrong form"
}

// setText reads a parameter. Booleans take 1, 0, true and false.
func setText(field reflect.Value, text string) (detail string) {
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	if u, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return wantedForm(u)
		}
		return ""
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return "must be 1, 0, true or false"
		}
		field.SetBool(b)
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, field.Type().Bits())
		if err != nil {
			return "must be a whole number"
		}
		field.SetInt(n)
	default:
		panic("web: a parameter can't be a " + field.Type().String())
	}
	return ""
}
