package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloakroom.dev/libs/run"

	"cloakroom.dev/auth-svc/internal/adapter/console/importdump"
	"cloakroom.dev/auth-svc/internal/adapter/console/importfile"
	"cloakroom.dev/auth-svc/internal/identity"
)

// ndjson is what import reads unless it is told of a dump.
const ndjson = "ndjson"

// input is people to import, whatever they are written in.
type input interface {
	// Skip reads up to a place where a former run has been; false says that this is another input.
	Skip(to identity.ImportCursor) (same bool, err error)
	// Next returns io.EOF after the last.
	Next() (identity.Incoming, error)
}

var (
	_ input = (*importfile.Reader)(nil)
	_ input = (*importdump.People)(nil)
)

// check completes what the flags say.
func (f *importFlags) check() (err error) {
	if f.source == "" && f.system != ndjson {
		f.source = f.system
	}
	switch {
	case f.system == "medods":
		return fmt.Errorf("%w: %w", run.ErrUsage, importdump.ErrNobody)
	case f.system != ndjson && !slices.Contains(importdump.Systems, f.system):
		return fmt.Errorf("%w: --from is ndjson, %s", run.ErrUsage, strings.Join(importdump.Systems, ", "))
	case f.source == "" || f.onConflict != "skip" && f.onConflict != "fail":
		return fmt.Errorf("%w: --source WORD is needed, and --on-conflict is skip or fail", run.ErrUsage)
	case f.hash != "" && f.system != "user-management":
		return fmt.Errorf("%w: --hash is for --from user-management: the others' hashes say by themselves what they are", run.ErrUsage)
	case f.hash != "":
		if f.dump.Hash, err = importdump.ParseHash(f.hash); err != nil {
			return fmt.Errorf("%w: --hash: %w", run.ErrUsage, err)
		}
	}
	return nil
}

// counted counts the bytes that are read.
type counted struct {
	from io.Reader
	n    int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

// read begins to read the input.
func (r *running) read(file io.Reader) (err error) {
	r.passed = &counted{from: file}
	if r.system == ndjson {
		r.in = importfile.NewReader(r.passed)
		return nil
	}
	r.in, err = importdump.Open(r.system, r.passed, r.dump)
	return err
}

// mapPage is how many people are looked up at a time.
const mapPage = 1000

// mapped is a line of the map.
type mapped struct {
	ForeignID string `json:"foreign_id"`
	UserID    string `json:"user_id"`
}

// writeMap writes who came from the source, in this run or before, for those whose files come after them. The file is
// there whole or as it was.
func (f importFlags) writeMap(ctx context.Context, core *identity.Service) (err error) {
	file, err := os.CreateTemp(filepath.Dir(f.mapTo), ".map-*") // for its owner alone: it says who is here
	if err != nil {
		return fmt.Errorf("write the map: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write the map: %w", errors.Join(err, os.Remove(file.Name())))
		}
	}()
	defer file.Close()
	enc := json.NewEncoder(file)
	for after, page := "", mapPage; page == mapPage; {
		ids, err := core.ForeignIDs(ctx, nobody, f.source, after, mapPage)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := enc.Encode(mapped{ForeignID: id.ID, UserID: id.UserID}); err != nil {
				return err
			}
			after = id.ID
		}
		page = len(ids)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), f.mapTo)
}
