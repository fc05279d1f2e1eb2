package web

import (
	"reflect"

	"cloakroom.dev/libs/fault"
)

// Decode reads one JSON object into v, a pointer to a struct or a map, as strictly as JSON reads a body. It is for JSON
// that arrives otherwise, such as in the field of a form, and returns one fault with every bad field.
func Decode(raw []byte, v any) error {
	_, bad, err := decodeStrict(raw, reflect.ValueOf(v).Elem())
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return fault.Validation(bad...)
	}
	return nil
}
