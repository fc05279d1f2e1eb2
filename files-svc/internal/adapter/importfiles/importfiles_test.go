package importfiles

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOpen_ReadsTheSample(t *testing.T) {
	dump, err := os.Open("../../../../docs/samples/rest-auth-files/dump.sql")
	if err != nil {
		t.Fatal(err)
	}
	defer dump.Close()
	list, err := Open("rest-auth-files", dump)
	if err != nil {
		t.Fatal(err)
	}
	var got []Item
	for {
		item, err := list.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, item)
	}
	const id = "3f2b8c1e-5d4a-4c6b-9e7f-00000000000"
	want := []Item{
		{Line: 39, ID: id + "1", Owner: "ada@example.org", Path: id + "1.txt", Name: "Ada's report.txt", ContentType: "text/plain", Size: 43, CreatedAt: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)},
		{Line: 39, ID: id + "2", Owner: "+442071838750", Path: id + "2.md", Name: "Übersicht.md", ContentType: "text/markdown", Size: 21, CreatedAt: time.Date(2024, 5, 7, 0, 0, 0, 0, time.UTC)},
		{Line: 39, ID: id + "3", Owner: "ada@example.org", Path: id + "3.pdf", Name: "lost.pdf", ContentType: "application/pdf", Size: 4096, CreatedAt: time.Date(2024, 5, 8, 0, 0, 0, 0, time.UTC)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestUnmangled_UndoesWhatMulterDidAndNothingElse(t *testing.T) {
	for name, want := range map[string]string{
		"plain.txt": "plain.txt", "Ã\u009cbersicht": "Übersicht", "Ã©": "é", "é": "é", "Übersicht": "Übersicht", "æ\u0097¥æ\u009c¬": "日本", "日本": "日本",
	} {
		if got := unmangled(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}
