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

// shapeOf is the shape that the request's Scope knows, or the usual one.
func shapeOf(ctx context.Context) Shape {
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
