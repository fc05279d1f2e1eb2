package fault

import (
	"errors"
	"slices"
)

// maxBad bounds how many fields are collected: one more than an answer tells, so that it tells that there are more.
const maxBad = 101

// Bad collects the bad fields of one request, so that one answer names them all: in the order they come, each once, with
// what was said of it first. The zero value is ready.
type Bad []Field

// Refuse adds one field.
func (b *Bad) Refuse(field, code, detail string) {
	b.Add(Field{Field: field, Code: code, Detail: detail})
}

// Add adds fields that somebody else has found.
func (b *Bad) Add(fields ...Field) {
	for _, f := range fields {
		if len(*b) < maxBad && !slices.ContainsFunc(*b, func(have Field) bool { return have.Field == f.Field }) {
			*b = append(*b, f)
		}
	}
}

// Catch adds the fields that err names. An err that names none is returned, unless there are bad fields already: those are
// told first.
func (b *Bad) Catch(err error) error {
	fields := FieldsOf(err)
	b.Add(fields...)
	if len(fields) > 0 || len(*b) > 0 {
		return nil
	}
	return err
}

// Err is the fault that names them all, or nil when there are none.
func (b Bad) Err() error {
	if len(b) == 0 {
		return nil
	}
	return Validation(b...)
}

// Or is the fault that names them all and those of err besides; without any it is err. It is for errors that nothing can be
// looked at behind.
func (b *Bad) Or(err error) error {
	if err := b.Catch(err); err != nil {
		return err
	}
	return b.Err()
}

// Also is err with the fields that more names besides. An err that names no fields stays as it is.
func Also(err, more error) error {
	var bad Bad
	if err := bad.Catch(err); err != nil {
		return err
	}
	_ = bad.Catch(more) // what else it is comes later, when the fields are well
	return bad.Err()
}

// FieldsOf is the bad fields that err names, if it names any.
func FieldsOf(err error) []Field {
	var f *Error
	if errors.As(err, &f) && f.Kind == Invalid {
		return f.Fields
	}
	return nil
}
