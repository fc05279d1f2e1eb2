package files_test

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
)

func named(names ...string) (fs []files.File) {
	for _, name := range names {
		fs = append(fs, files.File{Name: name})
	}
	return fs
}

func TestArchiveNames_AreSafeAndApart(t *testing.T) {
	s := filestest.New(t, filestest.Memory(), files.Options{})
	given := named("a.txt", "A.TXT", "a (2).txt", "../../etc/passwd", `C:\x`, "CON", "com1.txt", "nul.", "...", " ", "x\u202egpj.exe", ".profile", ".profile",
		"Отчёт.pdf", "lpt²", "Καφές", "ΚΑΦΈΣ", "s", "ſ")
	want := []string{
		"a.txt", "A (2).TXT", "a (2) (2).txt", ".._.._etc_passwd", "C__x", "_CON", "_com1.txt", "_nul", "file", "file (2)",
		"x_gpj.exe", ".profile", ".profile (2)", "Отчёт.pdf", "_lpt²", "Καφές", "ΚΑΦΈΣ (2)", "s", "ſ (2)",
	}
	if diff := cmp.Diff(want, s.ArchiveNames(given)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestArchiveNames_Property(t *testing.T) {
	s := filestest.New(t, filestest.Memory(), files.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		given := rapid.SliceOfN(rapid.StringMatching(`[aAbB./\\ :é]{0,6}|[\p{L}]{80,120}`), 1, 30).Draw(rt, "names")
		seen := map[string]bool{}
		for _, name := range s.ArchiveNames(named(given...)) {
			fold := strings.ToLower(norm.NFC.String(name))
			if seen[fold] || !filepath.IsLocal(name) || strings.ContainsAny(name, `/\:`) || len(name) > 255 || strings.HasSuffix(name, ".") {
				rt.Errorf("%q of %q", name, given)
			}
			seen[fold] = true
		}
	})
}
