package dialect

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
)

// maxBody bounds what is read of a request: no body of these contracts comes near it.
const maxBody = 64 << 10

var errNotJSON = fault.Validation(fault.Field{Field: "body", Code: "INVALID", Detail: "must be a JSON object"})

// Decode reads a body the way the systems that these contracts come from do: what is not known is passed over, and a body that
// does not say it is JSON is none, so that a page of another site can't send one by a form. Faults: Invalid, TooLarge.
func Decode(w http.ResponseWriter, r *http.Request, into any) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/json" {
		return nil
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return fault.New(fault.TooLarge, "the body is too large")
	case err != nil:
		return fault.Wrap(fault.Invalid, "the body ended before it was whole", err)
	case len(raw) == 0:
		return nil
	case !utf8.Valid(raw):
		return errNotJSON
	}
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(raw, into); {
	case errors.As(err, &wrong) && wrong.Field != "":
		return fault.Validation(fault.Field{Field: wrong.Field, Code: "INVALID", Detail: "has the wrong type"})
	case err != nil:
		return errNotJSON
	}
	return nil
}

// Need names the fields that are empty. It returns fault.Invalid, or nil when there are none.
func Need(fields ...Field) error {
	var bad []fault.Field
	for _, f := range fields {
		if f.Value == "" {
			bad = append(bad, fault.Field{Field: f.Name, Code: "REQUIRED", Detail: f.Name + " is required"})
		}
	}
	if len(bad) > 0 {
		return fault.Validation(bad...)
	}
	return nil
}

// Field is one value of a body under the name its contract has for it.
type Field struct{ Name, Value string }

// Write answers with JSON.
func Write(w http.ResponseWriter, status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n')) // a client that has gone needs no answer
	return nil
}

// Millis is a time as JavaScript writes it.
type Millis time.Time

// MarshalJSON writes UTC with three digits of a second, and null for no time.
func (m Millis) MarshalJSON() ([]byte, error) {
	t := time.Time(m)
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(t.UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}
