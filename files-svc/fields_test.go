package filessvc

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// names is what a refusal says of the fields: "name CODE" of each, in their order.
func (a answer) names(t *testing.T) string {
	t.Helper()
	var doc struct {
		Errors []struct{ Field, Code, Detail string }
	}
	_ = json.Unmarshal(a.body, &doc)
	all := make([]string, len(doc.Errors))
	for i, f := range doc.Errors {
		all[i] = f.Field + " " + f.Code
	}
	return strings.Join(all, ", ")
}

// One answer names every bad field, each once and in the order in which they came.
func TestRefusals_NameAllBadFieldsAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.txt", "text/plain", reader("x"))
	at := "/v1/files/" + f.ID
	jsonType := []string{"Content-Type", "application/json"}
	badName := base64.StdEncoding.EncodeToString([]byte(".."))
	for says, c := range map[string]struct {
		method, path, body string
		headers            []string
		want               string
	}{
		"a list": {"GET", "/v1/files?sort=owner&zebra=1&limit=0&created_after=x&ant=1&q=" + strings.Repeat("x", 256) + "&cursor=x", "", nil,
			"sort INVALID, zebra UNKNOWN, limit RANGE, created_after INVALID, ant UNKNOWN, q INVALID, cursor INVALID"},
		"a list, of what only the core knows": {"GET", "/v1/files?cursor=x&sort=owner", "", nil, "cursor INVALID, sort INVALID"},
		"a page that is none, beside a limit": {"GET", "/v1/files?page=0&limit=1", "", nil, "page RANGE"},
		"a page beside a cursor":              {"GET", "/v1/files?cursor=x&page=1", "", nil, "cursor INVALID, page CONFLICT"},
		"the same unknown twice":              {"GET", "/v1/files?a=1&b=1&a=2", "", nil, "a UNKNOWN, b UNKNOWN"},
		"changes":                             {"GET", "/v1/files/changes?cursor=x&limit=0", "", nil, "cursor INVALID, limit RANGE"},
		"versions":                            {"GET", at + "/versions?cursor=x&limit=x", "", nil, "cursor INVALID, limit INVALID"},
		"trash":                               {"GET", "/v1/trash?x=1&cursor=x&limit=101", "", nil, "x UNKNOWN, cursor INVALID, limit RANGE"},
		"a content":                           {"GET", at + "/content?z=1&inline=maybe&a=1", "", nil, "z UNKNOWN, inline INVALID, a UNKNOWN"},
		"a thumbnail":                         {"GET", at + "/thumbnail?size=1&size=2&fit=x&a=1", "", nil, "size INVALID, fit INVALID, a UNKNOWN"},
		"an archive":                          {"GET", "/v1/files/archive?z=1&a=1", "", nil, "z UNKNOWN, a UNKNOWN, ids REQUIRED"},
		"a change": {"PATCH", at, `{"name":"","owner":"x","expires_at":"x","metadata":{"\t":"x"}}`, jsonType,
			"name REQUIRED, owner UNKNOWN, expires_at INVALID, metadata INVALID_KEY"},
		"a change under a condition": {"PATCH", at, `{"name":"."}`, append([]string{"If-Unmodified-Since", "x"}, jsonType...),
			"If-Unmodified-Since UNKNOWN, name INVALID"},
		"a member three times": {"PATCH", at, `{"name":1,"name":2,"name":3}`, jsonType, "name DUPLICATE"},
		"a delete":             {"DELETE", at + "?permanent=x", "", []string{"If-None-Match", `"x"`}, "permanent INVALID, If-None-Match UNKNOWN"},
		"a link": {"POST", at + "/links", `{"max_downloads":0,"expires_in":300000000,"password":"` + strings.Repeat("x", 257) + `","x":1}`, jsonType,
			"max_downloads RANGE, expires_in RANGE, password INVALID, x UNKNOWN"},
		"a raw upload": {"POST", "/v1/files?x=1", "x",
			[]string{"If-Match", `"x"`, "If-None-Match", `"x"`, "Idempotency-Key", `"`, "Repr-Digest", "x", "Content-Range", "bytes 0-0/1", "Content-Type", "x"},
			"x UNKNOWN, If-Match UNKNOWN, If-None-Match INVALID, Idempotency-Key INVALID, Repr-Digest INVALID, Content-Range UNKNOWN, " +
				"name REQUIRED, content_type INVALID"},
		"a replace": {"PUT", at + "/content?x=1", "x", []string{"If-Modified-Since", "x", "Content-Digest", "x", "Content-Type", "x"},
			"x UNKNOWN, If-Modified-Since UNKNOWN, Content-Digest INVALID, content_type INVALID"},
		"tus": {"POST", "/v1/uploads?x=1", "",
			[]string{
				"Tus-Resumable", "1.0.0", "Upload-Metadata", "filename " + badName + ",filetype eA==", "Upload-Concat", "x", "Upload-Length", "x",
				"If-Match", "x", "Idempotency-Key", "x", "Upload-Checksum", "md5 eA==",
			},
			"Upload-Concat INVALID, Upload-Length INVALID, x UNKNOWN, If-Match UNKNOWN, Idempotency-Key UNKNOWN, Upload-Checksum UNSUPPORTED, " +
				"name INVALID, content_type INVALID"},
		"tus, a final upload": {"POST", "/v1/uploads", "",
			[]string{"Tus-Resumable", "1.0.0", "Upload-Metadata", "x !", "Upload-Concat", "final;x", "Upload-Length", "1", "If-Match", "x"},
			"Upload-Metadata INVALID, Upload-Concat INVALID, If-Match UNKNOWN"},
		"tus, a chunk": {"PATCH", "/v1/uploads/x", "x",
			[]string{
				"Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Checksum", "x", "Upload-Offset", "x", "Upload-Length", "x",
			},
			"Upload-Checksum INVALID, Upload-Offset INVALID, Upload-Length INVALID"},
		"the draft's upload": {"POST", "/v1/uploads?x=1", "",
			[]string{
				"Upload-Draft-Interop-Version", "8", "If-Match", "x", "Upload-Length", "x", "Repr-Digest", "x",
				"Content-Disposition", "x;", "Content-Type", "x",
			},
			"x UNKNOWN, If-Match UNKNOWN, Upload-Complete INVALID, Upload-Length INVALID, Repr-Digest INVALID, Content-Disposition INVALID, content_type INVALID"},
		"an unknown parameter beside a page and a limit": {"GET", "/v1/files?name=1&page=1&limit=1", "", nil, "name UNKNOWN, page CONFLICT"},
	} {
		t.Run(says, func(t *testing.T) {
			var body io.Reader
			if c.body != "" {
				body = reader(c.body)
			}
			a := p.do(c.method, c.path, body, c.headers...)
			a.refused(t, says, http.StatusBadRequest, "VALIDATION_ERROR")
			if got := a.names(t); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A form is read up to its file, whatever is wrong before.
func TestRefusals_NameAllBadFieldsOfAForm(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for says, c := range map[string]struct {
		fields, headers []string
		file            string
		want            string
	}{
		"fields, headers and the file": {
			[]string{"owner", "x", "metadata", `{"a":1,"b":"` + strings.Repeat("x", 1025) + `"}`, "expires_at", "x", "owner", "y"},
			[]string{"Idempotency-Key", "", "Repr-Digest", "x"}, "..",
			"Idempotency-Key INVALID, Repr-Digest INVALID, owner UNKNOWN, expires_at INVALID, metadata.a TYPE, name INVALID, metadata[\"b\"] INVALID",
		},
		"a field twice": {[]string{"name", "a", "name", "b", "x", "y"}, nil, "c", "name DUPLICATE, x UNKNOWN"},
		"one alone":     {[]string{"name", ".."}, nil, "c", "name INVALID"},
	} {
		body, formType := formOf(t, c.file, "text/plain", []byte("x"), c.fields...)
		a := p.do(http.MethodPost, "/v1/files", body, append(c.headers, "Content-Type", formType)...)
		a.refused(t, says, http.StatusBadRequest, "VALIDATION_ERROR")
		if got := a.names(t); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", says, got, c.want)
		}
	}
	p.nothingKept("bad forms")
}

// What is wrong besides does not come before what is refused alone.
func TestRefusals_KeepTheirCodes(t *testing.T) {
	w := newWorld(t)
	reading := w.person("files:read:self")
	reading.get("/v1/files?sort=owner").refused(t, "bad, with the right", 400, "VALIDATION_ERROR")
	w.person("files:create:self").get("/v1/files?sort=owner").refused(t, "bad, without the right", 403, "FORBIDDEN")
	p := w.person()
	f := p.upload("a.txt", "text/plain", reader("x"))
	p.do(http.MethodPatch, "/v1/files/"+f.ID, reader(`{"name":""}`), "Content-Type", "application/json", "If-None-Match", "*").
		refused(t, "a condition that does not hold", 412, "PRECONDITION_FAILED")
	p.tus("PATCH", "/v1/uploads/x", []byte("x"), "Content-Type", "text/plain").refused(t, "a type", 415, "UNSUPPORTED_MEDIA_TYPE")
}

// details is what a refusal says of the fields, for a person.
func (a answer) details() (all []string) {
	var doc struct {
		Errors []struct{ Field, Code, Detail string }
	}
	_ = json.Unmarshal(a.body, &doc)
	for _, f := range doc.Errors {
		all = append(all, f.Field+" "+f.Detail)
	}
	return all
}

func TestRefusals_SayWhichFormIsWanted(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.txt", "text/plain", reader("x"))
	const moment = "must be a time in RFC 3339's form, such as 2026-01-31T12:00:00Z"
	for says, c := range map[string]struct{ method, path, body, want string }{
		"a moment of a query":   {"GET", "/v1/files?created_after=today", "", "created_after " + moment},
		"a moment, or null":     {"PATCH", "/v1/files/" + f.ID, `{"expires_at":"soon"}`, "expires_at " + moment + ", or null"},
		"a text":                {"PATCH", "/v1/files/" + f.ID, `{"name":null}`, "name must be a string"},
		"a number of seconds":   {"POST", "/v1/files/" + f.ID + "/links", `{"expires_in":"1h"}`, "expires_in must be a whole number in range"},
		"a number that is null": {"POST", "/v1/files/" + f.ID + "/links", `{"expires_in":null}`, "expires_in must be a whole number in range"},
	} {
		a := p.do(c.method, c.path, reader(c.body), "Content-Type", "application/json")
		a.refused(t, says, http.StatusBadRequest, "VALIDATION_ERROR")
		if got := strings.Join(a.details(), "; "); got != c.want {
			t.Errorf("%s: got %q, want %q", says, got, c.want)
		}
	}
}

func TestArchive_NamesTheFilesThatAreNotThere(t *testing.T) {
	w := newWorld(t)
	p, other := w.person(), w.person()
	mine, trashed := p.upload("a", "text/plain", reader("x")), p.upload("b", "text/plain", reader("x"))
	p.do(http.MethodDelete, "/v1/files/"+trashed.ID, nil)
	theirs := other.upload("c", "text/plain", reader("x"))
	for says, c := range map[string]struct {
		ids  []string
		want string
	}{
		"one":     {[]string{mine.ID, trashed.ID}, "ids[1] NOT_FOUND"},
		"several": {[]string{theirs.ID, mine.ID, "x"}, "ids[0] NOT_FOUND, ids[2] NOT_FOUND"},
	} {
		a := p.get("/v1/files/archive?ids=" + strings.Join(c.ids, ","))
		a.refused(t, says, http.StatusNotFound, "NOT_FOUND")
		if got := a.names(t); got != c.want {
			t.Errorf("%s: got %s, want %s", says, got, c.want)
		}
	}
}

// The service counts bytes where the contract can only count characters: what it takes is within the contract, which the client of
// these tests holds it to, and the contract says what is counted.
func TestContract_SaysWhereBytesAreCounted(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.txt", "text/plain", reader("x"))
	at := "/v1/files/" + f.ID
	jsonType := []string{"Content-Type", "application/json"}
	text := func(n int) string { return strings.Repeat("é", n/2) + strings.Repeat("x", n%2) } // of n bytes
	for says, c := range map[string]struct {
		method, path, body string // with %s for the text
		most               int
		text               func(int) string
	}{
		"a name":           {"PATCH", at, `{"name":"%s"}`, 255, text},
		"metadata":         {"PATCH", at, `{"metadata":{"k":"%s"}}`, 1024, text},
		"a key":            {"PATCH", at, `{"metadata":{"%s":"v"}}`, 128, text},
		"a search":         {"GET", "/v1/files?q=%s", "", 255, text},
		"a link":           {"POST", at + "/links", `{"expires_in":60,"password":"%s"}`, 256, text},
		"a name to shrink": {"PATCH", at, `{"name":"%s"}`, 254, func(n int) string { return strings.Repeat("\u03b9\u0308\u0301", n/2) + strings.Repeat("x", 2*(n%2)) }}, // ΐ
	} {
		send := func(n int) answer {
			s := c.text(n)
			return p.do(c.method, strings.ReplaceAll(c.path, "%s", url.QueryEscape(s)), reader(strings.ReplaceAll(c.body, "%s", s)), jsonType...)
		}
		if a := send(c.most); a.err != nil || a.status >= 300 {
			t.Errorf("%s of %d bytes: got %d %s, %v", says, c.most, a.status, a.body, a.err)
		}
		send(c.most+1).refused(t, says+", a byte longer", http.StatusBadRequest, "VALIDATION_ERROR")
	}
	if a := p.get("/v1/files?content_type=text/" + strings.Repeat("x", 300)); a.status != 200 {
		t.Errorf("a type that no file has: got %d %s", a.status, a.body)
	}
	for name, s := range loadContract(t).Components.Schemas {
		for property, of := range s.Value.Properties {
			if v := of.Value; (property == "name" || property == "password") && v.MaxLength != nil && !strings.Contains(v.Description, "bytes of UTF-8") {
				t.Errorf("%s.%s does not say that bytes are counted", name, property)
			}
		}
	}
}
