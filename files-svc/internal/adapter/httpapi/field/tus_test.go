package field

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseUploadMetadata(t *testing.T) {
	for text, want := range map[string][]MetadataPair{
		"":                       nil,
		"filename aGkudHh0":      {{"filename", "hi.txt"}},
		"filename aGkudHh0,flag": {{"filename", "hi.txt"}, {"flag", ""}},
		"a YQ== , b Yg==":        {{"a", "a"}, {"b", "b"}},
		"a ":                     {{"a", ""}},
	} {
		got, err := ParseUploadMetadata([]string{text})
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	for _, text := range []string{"a YQ==,a YQ==", "a Y", "a YQ", ",", "a YQ==,", "a !!", "ключ YQ==", "a YQ== YQ==", " , a"} {
		if got, err := ParseUploadMetadata([]string{text}); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestParseChecksum(t *testing.T) {
	if c, err := ParseChecksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="); err != nil || c.Algorithm != "sha1" || len(c.Sum) != 20 {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, text := range []string{"", "sha1", "sha1 ", " Kq5s", "sha1 ?"} {
		if c, err := ParseChecksum(text); err == nil {
			t.Errorf("%q is %+v", text, c)
		}
	}
}

func TestParseUploadMetadata_NeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs, err := ParseUploadMetadata(rapid.SliceOf(rapid.String()).Draw(t, "lines"))
		for _, p := range pairs {
			if err != nil || p.Key == "" || strings.ContainsAny(p.Key, " ,\r\n") {
				t.Fatalf("pair %q with %v", p, err)
			}
		}
	})
}
