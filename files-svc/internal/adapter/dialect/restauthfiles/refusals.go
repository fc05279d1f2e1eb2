package restauthfiles

import (
	"encoding/json"
	"net/http"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/web"
)

// shaped makes every refusal of the handler one of this contract.
func shaped(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.SetShape(r.Context(), refusal)
		next.ServeHTTP(w, r)
	})
}

// refusal is a problem document in this contract's words.
func refusal(_ *http.Request, doc problem.Document, err error) problem.Refusal {
	body, _ := json.Marshal(struct {
		Error string `json:"error"`
	}{words(doc, err)}) // a string: it cannot fail
	return problem.Refusal{Status: doc.Status, ContentType: "application/json; charset=utf-8", Body: body}
}

// words are the seed's where it has any, and ours where it had none.
func words(doc problem.Document, err error) string {
	switch kind := fault.KindOf(err); {
	case kind == fault.Unauthenticated:
		return "Missing or Invalid Authorization header"
	case kind == fault.InvalidToken && token.Revoked(err):
		return "Session revoked"
	case kind == fault.InvalidToken:
		return "invalid token"
	case kind == fault.TokenExpired, kind == fault.TokenStale: // either way a refresh brings a better one
		return "jwt expired"
	case kind == fault.Invalid && noFile(doc):
		return "No file to upload"
	case len(doc.Errors) > 0:
		return doc.Errors[0].Field + ": " + doc.Errors[0].Detail
	case doc.Detail != "":
		return doc.Detail
	default:
		return doc.Title
	}
}

// noFile reports whether what is wrong is that there is no file in the form.
func noFile(doc problem.Document) bool {
	for _, f := range doc.Errors {
		if f.Field == "file" && f.Code == "REQUIRED" {
			return true
		}
	}
	return false
}

// missing says what is not there; the mux says it of paths.
func missing(err error) error {
	if kind := fault.KindOf(err); err != nil && (kind == fault.NotFound || kind == fault.Gone) {
		return errNoFile
	}
	return err
}

var errNoFile = fault.New(fault.NotFound, "File not found")
