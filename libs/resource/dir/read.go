package dir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/ledger"
	"cloakroom.dev/libs/resource/manifest"
)

// The bounds of a folder.
const (
	maxFileBytes = 1 << 20
	maxFiles     = 1000
	maxObjects   = 1000
)

// reading is the folder at one moment.
type reading struct {
	look        ledger.Look
	fingerprint string // equal for equal file names and contents
}

// Read reads a folder, or one file, for a caller that only wants to judge it.
func Read(path string) (ledger.Look, error) {
	info, err := os.Stat(path)
	if err != nil {
		return ledger.Look{}, err
	}
	if info.IsDir() {
		r, err := read(path, nil)
		return r.look, err
	}
	text, err := readFile(path)
	if err != nil {
		return ledger.Look{}, err
	}
	return ledger.Look{Documents: manifest.Parse(path, text)}, nil
}

// Parse reads a stream of documents, such as standard input, under the name given.
func Parse(name string, r io.Reader) (ledger.Look, error) {
	text, err := bounded(r)
	if err != nil {
		return ledger.Look{}, err
	}
	return ledger.Look{Documents: manifest.Parse(name, text)}, nil
}

// read reads every file of the folder. One that can't be read is noted and doesn't stop the others.
func read(folder string, kinds []string) (reading, error) {
	names, err := list(folder)
	if err != nil {
		return reading{}, err
	}
	var look ledger.Look
	sum := sha256.New()
	for _, name := range names {
		path := filepath.Join(folder, name)
		text, err := readFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // gone since the listing
		}
		if err != nil {
			fmt.Fprintf(sum, "%q unreadable %s\n", name, err)
			look.Unreadable = append(look.Unreadable, resource.Finding{File: path, Message: err.Error()})
			continue
		}
		fmt.Fprintf(sum, "%q %d\n", name, len(text))
		sum.Write(text)
		documents := manifest.Parse(path, text)
		if len(look.Documents)+len(documents) > maxObjects {
			look.Unreadable = append(look.Unreadable, resource.Finding{File: path, Message: fmt.Sprintf("the folder holds more than %d objects: this file is left out", maxObjects)})
			continue
		}
		look.Documents = append(look.Documents, wanted(documents, kinds)...)
	}
	return reading{look, hex.EncodeToString(sum.Sum(nil))}, nil
}

// list returns the names of the files that count, sorted. Names with a leading dot are editors' and ConfigMaps' own.
func list(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".yaml", ".yml", ".json":
			if !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("%s holds more than %d files", folder, maxFiles)
	}
	return names, nil
}

// wanted drops documents of kinds that this process doesn't use. What doesn't say its kind stays, to be told.
func wanted(documents []*manifest.Document, kinds []string) []*manifest.Document {
	if len(kinds) == 0 {
		return documents
	}
	return slices.DeleteFunc(documents, func(d *manifest.Document) bool {
		return d.Known() && !slices.Contains(kinds, d.Kind)
	})
}

// readFile reads a regular file of bounded size. A pipe or a device would hang or never end.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bounded(f)
}

func bounded(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("larger than %d bytes", maxFileBytes)
	}
	return text, nil
}
