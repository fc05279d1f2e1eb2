package sqlite_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/libs/secret"
)

// searcher looks through the raw bytes of every file in a folder.
type searcher struct {
	t   *testing.T
	dir string
}

func (s searcher) contains(needle []byte) bool {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil || len(files) == 0 {
		s.t.Fatalf("no files to search: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			s.t.Fatal(err)
		}
		if bytes.Contains(b, needle) {
			return true
		}
	}
	return false
}

func (s searcher) has(what string, needle []byte) {
	s.t.Helper()
	if !s.contains(needle) {
		s.t.Errorf("the files do not hold %s", what)
	}
}

// lacks looks for a secret as it is, and in the ways it could have been written down.
func (s searcher) lacks(what string, plain []byte) {
	s.t.Helper()
	for _, form := range [][]byte{
		plain, []byte(hex.EncodeToString(plain)), []byte(strings.ToUpper(hex.EncodeToString(plain))),
		[]byte(base64.StdEncoding.EncodeToString(plain)), []byte(base64.RawURLEncoding.EncodeToString(plain)),
	} {
		if s.contains(form) {
			s.t.Errorf("the files hold %s", what)
		}
	}
}

// lacksCredential looks for the text, and for the secret bytes inside, which stand right before the MAC of 16.
func (s searcher) lacksCredential(what string, credential secret.String, secretBytes int) {
	s.t.Helper()
	text := credential.Reveal()
	s.lacks(what, []byte(text))
	raw, err := base64.RawURLEncoding.DecodeString(text[4:])
	if err != nil {
		s.t.Fatal(err)
	}
	end := len(raw) - 16
	s.lacks("the secret inside "+what, raw[end-secretBytes:end])
}
