package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/problem"
)

// maxJSONBytes bounds a JSON body. No call of ours needs a tenth of it.
const maxJSONBytes = 1 << 20

// NoContent is the output of a handler that answers 204.
type NoContent struct{}

// JSON makes a handler of a typed function. In is a struct: fields tagged `json` come from the body, `path`, `query` and
// `header` from there; a `Validate() []fault.Field` of In is called last. Whatever is wrong with the input is answered
// at once and together, and fn is not called: then also is asked what else fn would have refused, and only then.
//
// Out is written as 200 unless it has a `StatusCode() int`; a `Headers(http.Header)` of it may add headers; NoContent and
// struct{} answer 204.
func JSON[In, Out any](fn func(ctx context.Context, in In) (Out, error), also ...func(ctx context.Context, in In) error) http.Handler {
	plan := planFor[In]()
	return Func(func(w http.ResponseWriter, r *http.Request) error {
		var in In
		err := plan.decode(w, r, &in, func() (bad []fault.Field) {
			for _, look := range also {
				bad = append(bad, fault.FieldsOf(look(r.Context(), in))...)
			}
			return bad
		})
		if err != nil {
			return err
		}
		out, err := fn(r.Context(), in)
		if err != nil {
			return err
		}
		return write(w, out)
	})
}

// Func makes a handler of a function that writes its own answer. An error it returns becomes the problem document; when
// the answer has already begun, the connection is cut instead, so that half an answer can't pass for a whole one.
func Func(fn func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rw, ok := w.(*response)
		if !ok {
			rw = &response{ResponseWriter: w}
		}
		err := fn(rw, r)
		switch {
		case err == nil:
		case rw.status == 0:
			problem.Write(rw, r, err)
		default:
			if fault.KindOf(err) == fault.Internal && r.Context().Err() == nil {
				problem.Logger(r.Context()).ErrorContext(r.Context(), "answer cut short", "error", err.Error())
			}
			panic(http.ErrAbortHandler)
		}
	})
}

func write(w http.ResponseWriter, out any) error {
	if h, ok := out.(interface{ Headers(h http.Header) }); ok {
		h.Headers(w.Header())
	}
	status := http.StatusOK
	switch o := out.(type) {
	case NoContent, struct{}:
		w.WriteHeader(http.StatusNoContent)
		return nil
	case interface{ StatusCode() int }:
		status = o.StatusCode()
	}
	body, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	body = append(body, '\n') // a terminal's prompt wants a line of its own
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone is no failure of ours
	return nil
}

// readJSON reads the body of r, which must be JSON; no body at all reads as an empty object.
func readJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength == 0 || r.Body == nil {
		return []byte("{}"), nil
	}
	if r.ContentLength > maxJSONBytes {
		return nil, fault.New(fault.TooLarge, fmt.Sprintf("a JSON body may have at most %d bytes", maxJSONBytes))
	}
	if err := requireJSON(r.Header); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJSONBytes))
	return body, bodyError(err)
}

func requireJSON(h http.Header) error {
	if enc := h.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return fault.New(fault.UnsupportedMediaType, "send the body without Content-Encoding")
	}
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset := params["charset"]
	if err != nil || mediaType != "application/json" || (charset != "" && charset != "utf-8" && charset != "UTF-8") {
		return fault.New(fault.UnsupportedMediaType, "send the body as application/json")
	}
	return nil
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return fault.New(fault.TooLarge, fmt.Sprintf("the body may have at most %d bytes", tooLarge.Limit))
	default:
		return fault.Wrap(fault.Invalid, "the body ended before it was whole", err)
	}
}
