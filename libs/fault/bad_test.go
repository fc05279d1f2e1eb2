package fault_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"cloakroom.dev/libs/fault"
)

func TestBad(t *testing.T) {
	one, two := fault.Field{Field: "one", Code: "A"}, fault.Field{Field: "two", Code: "B"}
	gone, plain := fault.New(fault.Gone, "gone"), fault.New(fault.Invalid, "no form at all")
	for says, c := range map[string]struct {
		bad  fault.Bad
		err  error
		want string
	}{
		"nothing":                             {nil, nil, "<nil>"},
		"what names no field, alone":          {nil, gone, "gone []"},
		"what names no field, beside one":     {fault.Bad{one}, gone, "the request has invalid fields [one A]"},
		"invalid without a field":             {nil, plain, "no form at all []"},
		"fields":                              {nil, fmt.Errorf("wrapped: %w", fault.Validation(one, two)), "the request has invalid fields [one A two B]"},
		"fields beside others":                {fault.Bad{two}, fault.Validation(one), "the request has invalid fields [two B one A]"},
		"a field again: what was said stands": {fault.Bad{one}, fault.Validation(fault.Field{Field: "one", Code: "C"}, two), "the request has invalid fields [one A two B]"},
	} {
		if got := told(c.bad.Or(c.err)); got != c.want {
			t.Errorf("%s: got %s, want %s", says, got, c.want)
		}
	}
	if got := told(fault.Also(fault.Validation(one), gone)); got != "the request has invalid fields [one A]" {
		t.Errorf("what names no field comes later: got %s", got)
	}
	if got := told(fault.Also(gone, fault.Validation(one))); got != "gone []" {
		t.Errorf("what names no field comes first: got %s", got)
	}
}

// A request can be wrong in more places than an answer has room for.
func TestBad_IsBounded(t *testing.T) {
	var bad fault.Bad
	for i := range 10_000 {
		bad.Refuse(strconv.Itoa(i), "INVALID", "")
	}
	if len(bad) != 101 {
		t.Errorf("%d are kept", len(bad))
	}
}

func told(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return fmt.Sprint(err)
	}
	words := []string{}
	for _, b := range f.Fields {
		words = append(words, b.Field, b.Code)
	}
	return fmt.Sprint(f.Detail, " ", words)
}
