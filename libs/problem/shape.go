package problem

import (
	"context"
	"encoding/json"
	"net/http"
)

// Refusal is what goes over the wire in place of a problem document.
type Refusal struct {
	Status      int
	ContentType string
	Body        []byte
}

// Shape puts a refusal into the words of a contract that is not ours. The document has all that may be told; err tells
// refusals apart that have the same code, and its text is not for clients.
type Shape func(r *http.Request, doc Document, err error) Refusal

type shapeKey struct{}

// WithShape makes Write, and so every refusal of a handler below, answer in this shape.
func WithShape(ctx context.Context, s Shape) context.Context {
	return context.WithValue(ctx, shapeKey{}, s)
}

// Shaped is a handler whose refusals have this shape, those of routing among them.
func Shaped(next http.Handler, s Shape) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(WithShape(r.Context(), s)))
	})
}

func shapeOf(ctx context.Context) Shape {
	if s, ok := ctx.Value(shapeKey{}).(Shape); ok {
		return s
	}
	if in, ok := ScopeFrom(ctx).(Shaper); ok {
		if s := in.Shape(); s != nil {
			return s
		}
	}
	return asDocument
}

func asDocument(_ *http.Request, doc Document, _ error) Refusal {
	body, _ := json.Marshal(doc) // plain strings and numbers: it cannot fail
	return Refusal{Status: doc.Status, ContentType: ContentType, Body: append(body, '\n')}
}
