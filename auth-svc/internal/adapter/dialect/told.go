package dialect

import "cloakroom.dev/libs/problem"

// Told is one sentence of a refusal, for contracts that have room for no more: what is wrong with the first field says more than
// that something is.
func Told(doc problem.Document) string {
	switch {
	case len(doc.Errors) > 0:
		return doc.Errors[0].Field + ": " + doc.Errors[0].Detail
	case doc.Detail != "":
		return doc.Detail
	default:
		return doc.Title
	}
}
