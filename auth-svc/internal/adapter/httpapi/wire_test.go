package httpapi

import (
	"strings"
	"testing"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

func TestWire_SaysWhichFormIsWanted(t *testing.T) {
	var in struct {
		Secret     hidden     `json:"secret"`
		Email      removable  `json:"email"`
		Credential credential `json:"credential"`
		At         web.Time   `json:"at"`
	}
	for body, want := range map[string]string{
		`{"secret":null}`:   "secret must be a string",
		`{"secret":1}`:      "secret must be a string",
		`{"email":""}`:      "email must be a string that is not empty, or null to remove it",
		`{"credential":[]}`: "credential must be an object",
		`{"at":"soon"}`:     "at must be a time in RFC 3339's form, such as 2026-01-31T12:00:00Z",
		`{"secret":"x","email":null,"credential":{},"at":"2026-01-31T12:00:00Z"}`: "",
	} {
		var got []string
		for _, f := range fault.FieldsOf(web.Decode([]byte(body), &in)) {
			got = append(got, f.Field+" "+f.Detail)
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}
