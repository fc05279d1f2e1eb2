package console

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"cloakroom.dev/auth-svc/internal/identity"
)

// refusals is the file that says of every line of an import that made nobody why. It is made with the first of them. A
// crash can leave it one batch short; the import's state has that batch, and openRefusals makes up for it.
type refusals struct {
	path string
	file *os.File
}

// openRefusals brings the file to what the state says: nothing for an import that begins, else all up to the cursor.
func openRefusals(path string, state identity.ImportState) (*refusals, error) {
	r := &refusals{path: path}
	kept, err := readRefusals(path, state)
	if err != nil {
		return nil, fmt.Errorf("read the report of refused lines: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("begin the report of refused lines: %w", err)
	}
	for _, some := range [][]identity.ImportRefusal{kept, passed(state)} {
		if err := r.add(some); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// passed is what the newest batch has refused, but for the line it stopped at.
func passed(state identity.ImportState) []identity.ImportRefusal {
	return slices.DeleteFunc(slices.Clone(state.Refused), func(f identity.ImportRefusal) bool { return f.Line > state.Cursor.Lines })
}

// readRefusals reads what a former run has written, without what the state holds too, and without what is torn.
func readRefusals(path string, state identity.ImportState) (kept []identity.ImportRefusal, err error) {
	if state.Cursor.Lines == 0 {
		return nil, nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	first := state.Cursor.Lines + 1
	for _, f := range state.Refused {
		first = min(first, f.Line)
	}
	for d := json.NewDecoder(bufio.NewReader(file)); ; {
		var f identity.ImportRefusal
		if err := d.Decode(&f); err != nil {
			return kept, notTorn(err)
		}
		if f.Line < first {
			kept = append(kept, f)
		}
	}
}

// notTorn passes on errors of reading; the end, or a line that a crash has cut, ends the report.
func notTorn(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return err
	}
	return nil
}

// add writes what a batch has refused, and is done when it is on disk.
func (r *refusals) add(some []identity.ImportRefusal) (err error) {
	if len(some) == 0 {
		return nil
	}
	if r.file == nil {
		// For its owner alone: it says who is in the input.
		if r.file, err = os.OpenFile(filepath.Clean(r.path), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
			return fmt.Errorf("write the report of refused lines: %w", err)
		}
	}
	var raw []byte
	for _, f := range some {
		line, err := json.Marshal(f)
		if err != nil {
			return err
		}
		raw = append(append(raw, line...), '\n')
	}
	_, err = r.file.Write(raw)
	if err = errors.Join(err, r.file.Sync()); err != nil {
		return fmt.Errorf("write the report of refused lines: %w", err)
	}
	return nil
}

func (r *refusals) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// written is the path when there is a file.
func (r *refusals) written() string {
	if r.file == nil {
		return ""
	}
	return r.path
}
