package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// Everything that is held about a person comes in one call, whichever service holds it.
func TestExport_HoldsWhatEachServiceHolds(t *testing.T) {
	dir := harness.ConfigDir(t, harness.Replace(t, "quota: 10Gi", "quota: 10Gi\n  versionsKept: 2"))
	ada := harness.NewClient(t, harness.Start(t, "CONFIG_DIR="+dir).Public).SignUp()
	kept := ada.Do("POST", "/v1/files", strings.NewReader("first"), harness.Raw("Отчёт.txt")).Is(201).File()
	ada.Do("PUT", "/v1/files/"+kept.ID+"/content", strings.NewReader("second"), harness.Raw("Отчёт.txt")).Is(200)
	ada.Do("POST", "/v1/files/"+kept.ID+"/links", map[string]any{"expires_in": 60}).Is(201)
	trashed := ada.Do("POST", "/v1/files", strings.NewReader("gone"), harness.Raw("gone.txt")).Is(201).File()
	ada.Do("DELETE", "/v1/files/"+trashed.ID, nil).Is(204)

	type exported struct {
		User    struct{ Username string }
		History []struct{ Action string }
		Files   []struct {
			ID, Name, Path string
			OlderVersions  []struct{ Version int } `json:"older_versions"`
			Links          []struct{ ID string }
		}
		Trash []struct{ ID, Path string }
	}
	check := func(doc exported) {
		t.Helper()
		if doc.User.Username != ada.User.Username || len(doc.History) == 0 || doc.History[0].Action != "user.export" {
			t.Errorf("the account: %+v", doc)
		}
		if len(doc.Files) != 1 || doc.Files[0].ID != kept.ID || len(doc.Files[0].OlderVersions) != 1 || len(doc.Files[0].Links) != 1 ||
			len(doc.Trash) != 1 || doc.Trash[0].ID != trashed.ID {
			t.Errorf("the files: %+v", doc)
		}
	}
	var listed, packed exported
	ada.Do("GET", "/v1/users/me/export", nil).Is(200).JSON(&listed)
	check(listed)

	a := ada.Do("GET", "/v1/users/me/export?files=1", nil).Is(200)
	z, err := zip.NewReader(bytes.NewReader(a.Body), int64(len(a.Body)))
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		contents[f.Name] = string(b)
	}
	if err := json.Unmarshal([]byte(contents["export.json"]), &packed); err != nil {
		t.Fatal(err)
	}
	check(packed)
	if contents[packed.Files[0].Path] != "second" || contents["files/"+kept.ID+"/versions/1/Отчёт.txt"] != "first" || contents[packed.Trash[0].Path] != "gone" {
		t.Errorf("packed: %q", contents)
	}
	ada.Do("GET", "/v1/users/me/export?files=2", nil).Refused(400, "VALIDATION_ERROR")
}
