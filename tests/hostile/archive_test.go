package hostile

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

func TestArchive_NamesCanNotLeaveTheFolder(t *testing.T) {
	ada := gateway(t).SignUp()
	var ids []string
	for _, name := range []string{"../../etc/passwd", "/etc/passwd", `..\..\win.ini`, "C:evil", "CON", "a", "A", "trailing.", "x\u202egpj.exe"} {
		ids = append(ids, ada.Upload(name, []byte(name)).Is(201).File().ID)
	}
	a := ada.Do("GET", "/v1/files/archive?ids="+strings.Join(ids, ","), nil).Is(200)
	z, err := zip.NewReader(bytes.NewReader(a.Body), int64(len(a.Body)))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range z.File {
		low := strings.ToLower(f.Name)
		if !filepath.IsLocal(f.Name) || strings.ContainsAny(f.Name, "/\\:\u202e") || seen[low] || strings.HasSuffix(low, ".") || low == "con" {
			t.Errorf("%q would be unpacked", f.Name)
		}
		seen[low] = true
	}
	if len(seen) != len(ids) {
		t.Errorf("%d files, want %d", len(seen), len(ids))
	}
}

func TestArchive_OfAnotherPersonsFile(t *testing.T) {
	c := gateway(t)
	ada, eve := c.SignUp(), c.Fresh().SignUp()
	mine, hers := eve.Upload("mine", []byte("x")).Is(201).File(), ada.Upload("hers", []byte("x")).Is(201).File()
	eve.Do("GET", "/v1/files/archive?ids="+mine.ID+","+hers.ID, nil).Refused(404, "NOT_FOUND")
	c.Fresh().Do("GET", "/v1/files/archive?ids="+hers.ID, nil).Refused(401, "AUTH_ERROR")
}

func TestArchive_OfTooManyFiles(t *testing.T) {
	ada := gateway(t).SignUp()
	ids := make([]string, 501)
	for n := range ids {
		ids[n] = fmt.Sprintf("0199d3f0-7a51-7c3e-9b1c-%012x", n)
	}
	ada.Do("GET", "/v1/files/archive?ids="+strings.Join(ids, ","), nil).Refused(400, "VALIDATION_ERROR")
	ada.Do("GET", "/v1/files/archive?ids="+strings.Join(ids[:500], ","), nil).Refused(404, "NOT_FOUND")
	ada.Do("GET", "/v1/files/archive?ids="+ids[0]+","+ids[0], nil).Refused(400, "VALIDATION_ERROR")
	ada.Do("GET", "/v1/files/archive", nil).Refused(400, "VALIDATION_ERROR")
}

// An archive whose reader logs out breaks off, and what came can't be taken for whole.
func TestArchive_StopsAtLogOut(t *testing.T) {
	stack := harness.Start(t)
	ada := harness.NewClient(t, stack.Public).SignUp()
	f := ada.Do("POST", "/v1/files", io.LimitReader(zeros{}, 96<<20), harness.Raw("large")).Is(201).File()
	res := reading(t, ada, "/v1/files/archive?ids="+f.ID)
	ada.Do("POST", "/v1/auth/logout", nil).Is(204)
	whenCut(t, stack)
	if n, err := io.Copy(io.Discard, res.Body); err == nil || n >= 95<<20 {
		t.Errorf("read %d more bytes, %v", n, err)
	}
}

// Whoever asks for archives and doesn't read them keeps their own places, and nobody else's.
func TestArchive_NotReadKeepsNobodyElse(t *testing.T) {
	eve := gateway(t).SignUp()
	f := eve.Do("POST", "/v1/files", io.LimitReader(zeros{}, 96<<20), harness.Raw("large")).Is(201).File()
	for range 4 {
		reading(t, eve, "/v1/files/archive?ids="+f.ID)
	}
	eve.Do("GET", "/v1/files/archive?ids="+f.ID, nil).Refused(429, "RATE_LIMIT_EXCEEDED")
	for range 3 {
		other := eve.Fresh().SignUp()
		own := other.Upload("own", []byte("x")).Is(201).File()
		other.Do("GET", "/v1/files/archive?ids="+own.ID, nil).Is(200)
	}
}
