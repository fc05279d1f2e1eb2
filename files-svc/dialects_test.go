package filessvc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

const compat = "/compat/rest-auth-files/file"

// newCompatWorld speaks rest-auth-files besides.
func newCompatWorld(t *testing.T) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir(), newIssuer(t), func(c *Config) {
		c.Boot.Spec.Dialects = []v1alpha1.FilesDialect{{Name: "rest-auth-files"}}
	})
}

// says checks status and the one member of an answer in this contract.
func (a answer) says(t *testing.T, what string, status int, member, text string) {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(a.body, &body); err != nil || a.err != nil {
		t.Fatalf("%s: got %d %s, %v", what, a.status, a.body, a.err)
	}
	if a.status != status || body[member] != text {
		t.Errorf("%s: got %d %s; want %d and %s %q", what, a.status, a.body, status, member, text)
	}
	if ct := a.header.Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
		t.Errorf("%s: is %q", what, ct)
	}
}

func (a answer) storedID(t *testing.T) string {
	t.Helper()
	var body struct{ ID string }
	if err := json.Unmarshal(a.body, &body); err != nil || body.ID == "" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	return body.ID
}

func TestRestAuthFiles_ALifeOfAFile(t *testing.T) {
	w := newCompatWorld(t)
	ada := w.person()

	form, formType := formOf(t, "Report 2024.TXT", "text/plain", []byte("first"))
	up := ada.do(http.MethodPost, compat+"/upload", form, "Content-Type", formType)
	up.says(t, "upload", http.StatusCreated, "message", "File uploaded successfully")
	id := up.storedID(t)

	var got struct{ File map[string]any }
	if err := json.Unmarshal(ada.get(compat+"/"+id).body, &got); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse("2006-01-02T15:04:05.000Z", fmt.Sprint(got.File["uploaded_at"]))
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("uploaded_at is %v", got.File["uploaded_at"])
	}
	delete(got.File, "uploaded_at")
	if text := fmt.Sprint(got.File); text != fmt.Sprintf("map[extension:.TXT id:%s mime_type:text/plain name:Report 2024.TXT size:5]", id) {
		t.Errorf("the file is %s", text)
	}
	down := ada.get(compat + "/download/" + id)
	if string(down.body) != "first" || down.status != http.StatusOK || !strings.Contains(down.header.Get("Content-Disposition"), "Report 2024.TXT") {
		t.Errorf("downloaded %d %q as %v", down.status, down.body, down.header)
	}

	form, formType = formOf(t, "new.bin", "application/octet-stream", []byte("second!"))
	update := ada.do(http.MethodPut, compat+"/update/"+id, form, "Content-Type", formType)
	update.says(t, "update", http.StatusCreated, "message", "File updated successfully")
	if update.storedID(t) != id {
		t.Errorf("an update changed the id: %s", update.body)
	}
	if b := ada.get(compat + "/" + id).body; !strings.Contains(string(b), `"name":"new.bin","extension":".bin","mime_type":"application/octet-stream","size":7`) {
		t.Errorf("updated to %s", b)
	}

	ada.do(http.MethodDelete, compat+"/delete/"+id, nil).says(t, "delete", http.StatusOK, "message", "File deleted successfully")
	ada.do(http.MethodDelete, compat+"/delete/"+id, nil).says(t, "delete again", http.StatusNotFound, "error", "File not found")
	ada.get(compat+"/"+id).says(t, "get deleted", http.StatusNotFound, "error", "File not found")
	ada.get(compat+"/download/"+id).says(t, "download deleted", http.StatusNotFound, "error", "File not found")
	if u := ada.get("/v1/files/usage"); !strings.HasPrefix(string(u.body), `{"bytes":0,"files":0,`) {
		t.Errorf("usage after the delete is %s", u.body)
	}
	if trash := ada.get("/v1/trash"); strings.Contains(string(trash.body), id) {
		t.Errorf("the file lies in the trash: %s", trash.body)
	}
}

func TestRestAuthFiles_ListsByPage(t *testing.T) {
	w := newCompatWorld(t)
	ada := w.person()
	for i := range 12 {
		ada.upload(fmt.Sprintf("f%02d.txt", i), "text/plain", reader("x"))
	}
	w.person().upload("strangers.txt", "text/plain", reader("x"))
	for query, want := range map[string]int{
		"": 10, "?page=2": 2, "?page=3": 0, "?page=2&list_size=5": 5, "?list_size=500": 12, "?page=0&list_size=-3": 10,
		"?page=abc&list_size=NaN": 10, "?page=1e99": 0, "?list_size=2.9": 2, "?list_size=Infinity": 12, "?unknown=1": 10,
	} {
		a := ada.get(compat + "/list" + query)
		var body struct{ Files []map[string]any }
		if err := json.Unmarshal(a.body, &body); err != nil || a.status != http.StatusOK || body.Files == nil || len(body.Files) != want {
			t.Errorf("list%s: %d and %d files, want %d: %s", query, a.status, len(body.Files), want, a.body)
		}
	}
}

func TestRestAuthFiles_RefusesInItsOwnWords(t *testing.T) {
	w := newCompatWorld(t)
	ada, bob := w.person(), w.person()
	file := ada.upload("a.txt", "text/plain", reader("x")).ID
	form := func() (string, string) {
		b, ct := formOf(t, "a.txt", "text/plain", []byte("y"))
		return b.String(), ct
	}
	body, formType := form()

	r := ada.request(http.MethodGet, compat+"/list", nil)
	r.Header.Del("Authorization")
	ada.send(r).says(t, "no bearer", http.StatusUnauthorized, "error", "Missing or Invalid Authorization header")
	r = ada.request(http.MethodGet, compat+"/list", nil)
	r.Header.Set("Authorization", "Basic YTpi")
	ada.send(r).says(t, "basic", http.StatusUnauthorized, "error", "Missing or Invalid Authorization header")
	r = ada.request(http.MethodGet, compat+"/list", nil)
	r.Header.Set("Authorization", "Bearer x.y.z")
	ada.send(r).says(t, "nonsense", http.StatusUnauthorized, "error", "invalid token")
	old := &person{w: w, token: w.issuer.Mint(tokentest.Subject(ada.id), tokentest.Session(ada.session), tokentest.Claim("iat", time.Now().Add(-2*time.Hour).Unix()), tokentest.ExpiresIn(-time.Hour))}
	old.get(compat+"/list").says(t, "expired", http.StatusUnauthorized, "error", "jwt expired")

	for _, path := range []string{"/" + file, "/download/" + file, "/" + files0, "/download/" + files0, "/..%2f..%2fetc%2fpasswd"} {
		bob.get(compat+path).says(t, "bob gets "+path, http.StatusNotFound, "error", "File not found")
	}
	bob.do(http.MethodDelete, compat+"/delete/"+file, nil).says(t, "bob deletes", http.StatusNotFound, "error", "File not found")
	bob.do(http.MethodPut, compat+"/update/"+file, reader(body), "Content-Type", formType).says(t, "bob updates", http.StatusNotFound, "error", "File not found")

	none := strings.ReplaceAll(body, `name="file"`, `name="other"`)
	for what, a := range map[string]answer{
		"no form":        ada.do(http.MethodPost, compat+"/upload", reader("{}"), "Content-Type", "application/json"),
		"no body":        ada.do(http.MethodPost, compat+"/upload", nil),
		"update without": ada.do(http.MethodPut, compat+"/update/"+file, nil),
		"text":           ada.do(http.MethodPost, compat+"/upload", reader(strings.ReplaceAll(body, `; filename="a.txt"`, "")), "Content-Type", formType),
	} {
		a.says(t, what, http.StatusBadRequest, "error", "No file to upload")
	}
	if a := ada.do(http.MethodPost, compat+"/upload", reader(none), "Content-Type", formType); a.status != http.StatusBadRequest || !strings.HasPrefix(string(a.body), `{"error":"`) {
		t.Errorf("another field: got %d %s", a.status, a.body)
	}
	if got := ada.get(compat + "/download/" + file); string(got.body) != "x" {
		t.Errorf("a refused update has changed the file: %q", got.body)
	}
	ada.do(http.MethodPatch, compat+"/list", nil).says(t, "405", http.StatusMethodNotAllowed, "error", "this path does not take that method")
	ada.get("/compat/rest-auth-files/nowhere").says(t, "404", http.StatusNotFound, "error", "no such path")

	w.issuer.Revoke(token.KindSession, ada.session)
	eventually(t, "revoked", func() error {
		if a := ada.get(compat + "/list"); a.status != http.StatusUnauthorized {
			return fmt.Errorf("answered %d", a.status)
		}
		return nil
	})
	ada.get(compat+"/list").says(t, "revoked", http.StatusUnauthorized, "error", "Session revoked")
}

// files0 is an id nobody has.
const files0 = "019a0000-0000-7000-8000-000000000000"

func TestDialects_AreOffUnlessNamed(t *testing.T) {
	w := newWorld(t)
	w.person().get(compat+"/list").refused(t, "not named", http.StatusNotFound, "NOT_FOUND")
}
