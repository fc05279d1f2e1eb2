package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"cloakroom.dev/libs/resource"
)

// endpointsFile tells programs where this run listens, as the banner tells people.
const endpointsFile = "endpoints.json"

// endpoints is where a run listens.
type endpoints struct {
	Public string `json:"public"`
	Ops    string `json:"ops"`
}

func (f *folder) writeEndpoints(e endpoints) error {
	body, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return writeDurably(f.join(endpointsFile), append(body, '\n'), 0o644)
}

// banner is the one friendly block. It names the places of secrets and never a secret, and what is wrong with the
// configuration, which would otherwise scroll by.
func banner(w io.Writer, e endpoints, data, config string, findings []resource.Finding) {
	_, _ = fmt.Fprintf(w, `
  Cloakroom is open:   %[1]s

  every call           %[1]s/docs
  a page for people    %[1]s/console/
  your things          %[3]s
  the first admin      %[4]s (password and API key; for your eyes only)
  configuration        %[5]s (edit and save: live, but for kinds named …Config: at the next start)
  health and metrics   %[2]s/readyz  %[2]s/metrics  %[2]s/-/resources

  Try it in a second terminal:

    TOKEN=$(curl -s %[1]s/v1/auth/signup -H 'Content-Type: application/json' -d '{"username":"grace","password":"a walk in the long rain"}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
    curl -s %[1]s/v1/files -H "Authorization: Bearer $TOKEN" -F file=@README.md
    curl -s %[1]s/v1/files -H "Authorization: Bearer $TOKEN"

`, e.Public, e.Ops, data, filepath.Join(data, "bootstrap.json"), config)
	for _, f := range findings {
		_, _ = fmt.Fprintf(w, "  Not in force:        %s\n", f)
	}
}
