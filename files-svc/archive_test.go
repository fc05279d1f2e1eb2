package filessvc

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"cloakroom.dev/libs/token"
)

// unpack reads an archive whole: names and contents.
func unpack(t *testing.T, raw []byte) (names []string, contents map[string]string) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	contents = map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Name)
		contents[f.Name] = string(content)
	}
	return names, contents
}

func TestArchive_PacksWhatWasAskedFor(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	text := strings.Repeat("compress me. ", 100_000)
	var ids []string
	for _, f := range []struct{ name, kind, content string }{
		{"../Отчёт.txt", "text/plain", text}, {"a.png", "image/png", "png"}, {"A.png", "image/png", "other"}, {"empty", "text/plain", ""},
	} {
		ids = append(ids, p.upload(f.name, f.kind, strings.NewReader(f.content)).ID)
	}
	a := p.get("/v1/files/archive?ids=" + strings.Join(ids[:2], ",") + "&ids=" + strings.Join(ids[2:], ","))
	if a.status != 200 || a.header.Get("Content-Type") != "application/zip" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("got %d %v %v", a.status, a.header, a.err)
	}
	names, contents := unpack(t, a.body)
	if fmt.Sprint(names) != "[.._Отчёт.txt a.png A (2).png empty]" {
		t.Errorf("names %q", names)
	}
	if contents[".._Отчёт.txt"] != text || contents["a.png"] != "png" || contents["A (2).png"] != "other" || contents["empty"] != "" {
		t.Error("contents differ")
	}
	if len(a.body) > len(text)/10 {
		t.Errorf("%d bytes: text was not compressed", len(a.body))
	}
	if a := p.do(http.MethodHead, "/v1/files/archive?ids="+ids[0], nil); a.status != 200 {
		t.Errorf("head: %d", a.status)
	}
}

func TestArchive_Refusals(t *testing.T) {
	w := newWorld(t)
	p, other := w.person(), w.person()
	f := p.upload("a", "text/plain", reader("x"))
	trashed := p.upload("b", "text/plain", reader("x"))
	p.do(http.MethodDelete, "/v1/files/"+trashed.ID, nil)
	many := strings.Repeat("0199d3f0-7a51-7c3e-9b1c-6f2a5d0e4b7a,", 500) + f.ID
	for query, code := range map[string]string{
		"": "VALIDATION_ERROR", "?ids=" + f.ID + "," + f.ID: "VALIDATION_ERROR", "?ids=" + many: "VALIDATION_ERROR",
		"?ids=" + f.ID + "&x=1": "VALIDATION_ERROR", "?ids=": "NOT_FOUND", "?ids=" + f.ID + ",": "NOT_FOUND", "?ids=../x": "NOT_FOUND",
		"?ids=" + f.ID + "," + trashed.ID: "NOT_FOUND",
	} {
		status := map[string]int{"VALIDATION_ERROR": 400, "NOT_FOUND": 404}[code]
		p.get("/v1/files/archive"+query).refused(t, query[:min(len(query), 60)], status, code)
	}
	other.get("/v1/files/archive?ids="+f.ID).refused(t, "another's", 404, "NOT_FOUND")
}

// A damaged file ends the archive before the directory, so that no reader takes it for whole.
func TestArchive_DamageCutsIt(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	good := p.upload("good", "image/png", &zeros{4 << 20})
	before := w.blobFiles()
	bad := p.upload("bad", "image/png", &zeros{4 << 20})
	for _, path := range w.blobFiles() {
		if !strings.Contains(strings.Join(before, "\n"), path) {
			flip(t, path)
		}
	}
	a := p.get("/v1/files/archive?ids=" + good.ID + "," + bad.ID)
	if a.err == nil {
		t.Errorf("got %d and %d bytes to the end", a.status, len(a.body))
	}
	if _, err := zip.NewReader(bytes.NewReader(a.body), int64(len(a.body))); err == nil {
		t.Error("what came can be read as a whole archive")
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{1}, 1<<20); err != nil {
		t.Fatal(err)
	}
}

func TestArchive_RevocationCutsIt(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("large", "image/png", &zeros{64 << 20})
	res, err := http.DefaultClient.Do(p.request(http.MethodGet, "/v1/files/archive?ids="+f.ID, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	w.issuer.Revoke(token.KindSession, p.session)
	w.cut()
	if n, err := io.Copy(io.Discard, res.Body); !errors.Is(err, io.ErrUnexpectedEOF) || n >= 63<<20 {
		t.Errorf("read %d more bytes, %v", n, err)
	}
}
