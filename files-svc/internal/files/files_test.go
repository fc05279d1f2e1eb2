package files_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
)

const ann files.OwnerID = "ann"

// create hands a one-byte file in.
func create(t *testing.T, s *files.Service, nf files.NewFile) (files.File, error) {
	t.Helper()
	nf.Size = 1
	return s.Create(filestest.As(t.Context(), ann), ann, nf, strings.NewReader("x"))
}

func TestNames(t *testing.T) {
	s := filestest.New(t, filestest.Memory(), files.Options{})
	keep := func(name string) [2]string { return [2]string{name, name} }
	become := func(name, want string) [2]string { return [2]string{name, want} }
	refuse := func(name string) [2]string { return [2]string{name, ""} }
	for _, test := range [][2]string{
		keep("a"), keep("Отчёт.pdf"), keep("报告 🧥.txt"), keep("../../etc/passwd"), keep(`C:\boot.ini`), keep("/etc/passwd"),
		keep("CON"), keep("aux.txt"), keep("trailing. "), keep("<script>alert(1)</script>"), keep("a\u200bb"), keep("\ufeffbom"),
		keep("\u202egnp.exe"), keep("..."), keep(strings.Repeat("é", 127)),
		become("cafe\u0301.txt", "café.txt"), become(strings.Repeat("e\u0301", 100), strings.Repeat("é", 100)),
		refuse(""), refuse("."), refuse(".."), refuse("  "), refuse("\u3000"), refuse("a\x00b"), refuse("a\r\nb"), refuse("a\tb"), refuse("a\x1bb"),
		refuse("a\u0085b"), refuse("a\x7fb"), refuse("\xff\xfe"), refuse("\xed\xa0\x80"), refuse(strings.Repeat("x", 256)),
		refuse(strings.Repeat("é", 128)), refuse(strings.Repeat("x", 5000)),
	} {
		f, err := create(t, s, files.NewFile{Name: test[0]})
		if test[1] == "" {
			if !hasField(err, "name") {
				t.Errorf("%q: got %q, %v; want a refusal of the name", test[0], f.Name, err)
			}
			continue
		}
		if err != nil || f.Name != test[1] {
			t.Errorf("%q: got %q, %v; want %q", test[0], f.Name, err, test[1])
		}
	}
}

func hasField(err error, field string) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Kind == fault.Invalid && len(f.Fields) > 0 && f.Fields[0].Field == field
}

func TestNames_TwinsAreOne(t *testing.T) {
	s := filestest.New(t, filestest.Memory(), files.Options{})
	if _, err := create(t, s, files.NewFile{Name: "cafe\u0301"}); err != nil {
		t.Fatal(err)
	}
	if _, err := create(t, s, files.NewFile{Name: "café", NewName: true}); !errors.Is(err, fault.Of(fault.PreconditionFailed)) {
		t.Errorf("got %v, want PreconditionFailed", err)
	}
	if _, err := create(t, s, files.NewFile{Name: "CAFÉ", NewName: true}); err != nil {
		t.Errorf("another case is another name: %v", err)
	}
	list, err := s.List(filestest.As(t.Context(), ann), ann, files.ListQuery{Query: "Cafe\u0301"})
	if err != nil || len(list.Files) != 2 {
		t.Errorf("search found %d files, %v", len(list.Files), err)
	}
}

func TestExtension(t *testing.T) {
	for name, want := range map[string]string{
		"a.PDF": "pdf", "a.tar.gz": "gz", ".profile": "", "a": "", "a.": "", "..": "", "a.b/c": "", `x.y\z`: "", "v1. final": "", "ф.Ж": "ж",
	} {
		if got := (files.File{Name: name}).Extension(); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestETag_ChangesWithEveryVersion(t *testing.T) {
	a := files.File{Version: 1, SHA256: files.Digest{1}}
	same, other := a, a
	same.Version, other.SHA256 = 2, files.Digest{2}
	if a.ETag() == same.ETag() || a.ETag() == other.ETag() || a.ETag()[0] != '"' {
		t.Errorf("etags: %s %s %s", a.ETag(), same.ETag(), other.ETag())
	}
}

func TestContentTypes(t *testing.T) {
	s := filestest.New(t, filestest.Memory(), files.Options{})
	for given, want := range map[string]string{
		"": "application/octet-stream", "Text/HTML; Charset=UTF-8": "text/html; charset=UTF-8", "image/png": "image/png",
		"text": "", "text/html\r\nX: y": "", "a/b; c": "", strings.Repeat("a", 250) + "/b": strings.Repeat("a", 250) + "/b", strings.Repeat("a", 255) + "/b": "",
	} {
		f, err := create(t, s, files.NewFile{Name: "f", ContentType: given})
		if f.ContentType != want || (want == "") != hasField(err, "content_type") {
			t.Errorf("%q: got %q, %v; want %q", given, f.ContentType, err, want)
		}
	}
}

func TestMetadata(t *testing.T) {
	s := filestest.New(t, filestest.Memory(), files.Options{})
	many := files.Metadata{}
	for n := range 65 {
		many[strings.Repeat("k", n+1)] = "v"
	}
	full := files.Metadata{}
	for n := range 8 {
		full[fmt.Sprint(n)] = strings.Repeat("v", 1023)
	}
	over := maps.Clone(full)
	over["0"] += "v"
	for name, test := range map[string]struct {
		given files.Metadata
		field string
	}{
		"full":         {full, ""},
		"over":         {over, "metadata"},
		"none":         {nil, ""},
		"some":         {files.Metadata{"ключ": "a\nb\tc", "k": ""}, ""},
		"many":         {many, "metadata"},
		"empty key":    {files.Metadata{"": "v"}, "metadata"},
		"long key":     {files.Metadata{strings.Repeat("k", 129): "v"}, "metadata"},
		"control key":  {files.Metadata{"a\nb": "v"}, "metadata"},
		"long value":   {files.Metadata{"k": strings.Repeat("v", 1025)}, `metadata["k"]`},
		"zero value":   {files.Metadata{"k": "\x00"}, `metadata["k"]`},
		"broken value": {files.Metadata{"k": "\xff"}, `metadata["k"]`},
	} {
		f, err := create(t, s, files.NewFile{Name: "f", Metadata: test.given})
		if test.field != "" {
			if !hasField(err, test.field) {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		if err != nil || len(f.Metadata) != len(test.given) || f.Metadata == nil {
			t.Errorf("%s: got %v, %v", name, f.Metadata, err)
		}
	}
}

func TestUpdate(t *testing.T) {
	clock := filestest.NewClock()
	s := filestest.New(t, filestest.Memory(), files.Options{Now: clock.Now})
	ctx := filestest.As(t.Context(), ann)
	f, err := create(t, s, files.NewFile{Name: "a", Metadata: files.Metadata{"k": "v"}, ExpiresAt: filestest.Noon.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	name, never, past := "b.TXT", time.Time{}, filestest.Noon
	got, err := s.Update(ctx, ann, f.ID, files.FileChange{Name: &name, ExpiresAt: &never})
	want := f
	want.Name, want.Fold, want.ExpiresAt, want.Revision, want.UpdatedAt = name, "b.txt", never, 2, got.UpdatedAt
	if diff := cmp.Diff(want, got); diff != "" || err != nil || !got.UpdatedAt.After(f.UpdatedAt) || got.ETag() != f.ETag() {
		t.Errorf("updated, %v (-want +got):\n%s", err, diff)
	}
	if _, err := s.Update(ctx, ann, f.ID, files.FileChange{ExpiresAt: &past}); !hasField(err, "expires_at") {
		t.Errorf("an expiry in the past: %v", err)
	}
	bad := "a\x00"
	var refused *fault.Error
	if _, err := s.Update(ctx, ann, f.ID, files.FileChange{Name: &bad, ExpiresAt: &past}); !errors.As(err, &refused) || len(refused.Fields) != 2 {
		t.Errorf("two bad fields: %v", err)
	}
}

func TestList(t *testing.T) {
	s := filestest.New(t, filestest.Memory(), files.Options{})
	ctx := filestest.As(t.Context(), ann)
	for _, name := range []string{"c", "a", "B", "d", "e"} {
		if _, err := create(t, s, files.NewFile{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	q, names := files.ListQuery{Sort: files.SortName, Limit: 2}, ""
	for {
		list, err := s.List(ctx, ann, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list.Files {
			names += f.Name
		}
		if list.Next == nil {
			break
		}
		q.After = list.Next
	}
	if names != "aBcde" {
		t.Errorf("by cursor: %s", names)
	}
	list, err := s.List(ctx, ann, files.ListQuery{Sort: files.SortNameDesc, Page: 2, Limit: 2})
	if err != nil || list.Total != 5 || len(list.Files) != 2 || list.Files[0].Name != "c" || list.Next == nil {
		t.Errorf("page: %+v, %v", list, err)
	}
	for field, q := range map[string]files.ListQuery{
		"limit": {Limit: 101}, "sort": {Sort: "etag"}, "page": {Page: files.MaxPage + 1}, "q": {Query: "\xff"},
		"cursor": {Sort: files.SortSize, After: &files.Cursor{Sort: files.SortName}},
	} {
		if _, err := s.List(ctx, ann, q); !hasField(err, field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
