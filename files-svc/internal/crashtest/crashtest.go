// Package crashtest is the kill-point matrix: it breaks the files service at every step where it could lose a file or
// leave one behind, in every way that happens to machines, and looks at what is left.
//
// A cell is a step and a fault. For each, a copy of a small world (files, and what an earlier crash has left) is served by
// a child process: the core, the stores and the HTTP edge as the service has them. The parent is the client. The child
// meets the fault at the step; then an oracle opens what is left as a restart does and compares it with what the client
// was told:
//
//   - every acknowledged file reads back with its SHA-256; an unacknowledged change is there whole or not at all;
//   - quota is the sum of what exists; every key in the store is known to a row or to an open intent, and after the
//     reaper's passes no key, row or reservation is left over;
//   - a reader that was running has had its version whole, or has been told that it has not;
//   - after a fault that passes (a full disk, a disk or a database that fails) the same process serves on.
//
// Faults come from Hooks, which a store is opened with and which only this package's child gives it. No flag, variable or
// file of a serving process leads here. Contents, sizes and what a power cut takes come from a seed.
package crashtest

import (
	"context"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/files"
)

// Fault is a way to break.
type Fault string

// The faults.
const (
	Kill     Fault = "kill"     // SIGKILL: what the kernel has been given stays
	PowerCut Fault = "powercut" // what was not synced is gone, data and names
	NoSpace  Fault = "enospc"   // no room for bytes or rows, until it is made
	IOError  Fault = "eio"      // writes, syncs and names fail, of bytes and rows; in a step that reads, reads of bytes fail instead
	RowsDown Fault = "dbdown"   // the database answers nothing
)

// Faults lists all faults, in the order of the table's columns.
var Faults = []Fault{Kill, PowerCut, NoSpace, IOError, RowsDown}

// passes reports whether the process outlives the fault.
func (f Fault) passes() bool { return f == NoSpace || f == IOError || f == RowsDown }

// Hooks are where faults get into a store.
type Hooks struct {
	At     func(step string) error
	Around func(c disk.Call, do func() error) error

	// Of a store of bytes on another machine: the status with which it refuses a request now, 0 for none; and what happens
	// to each stretch of a content that is read.
	Ask  func(kind disk.CallKind) int
	Read func() error
}

// Store is a pair of stores the matrix can run on.
type Store struct {
	Name string
	// Open opens the stores in a folder, new or not. Zero Hooks break nothing.
	Open func(ctx context.Context, folder string, h Hooks) (*Opened, error)

	// A store that is not in its folder says where it is by a file there. Make prepares a new folder, Copy makes one like another, whose
	// stores are closed, and Drop forgets what a copy has. All are nil for a store that is in its folder, but for a folder Drop never sees.
	Make func(ctx context.Context, folder string) error
	Copy func(ctx context.Context, from, to string) error
	Drop func(ctx context.Context, folder string) error

	Bucket bool // bytes are in a bucket: it has steps of its own, and power is not ours to cut
}

// Opened is an open Store.
type Opened struct {
	Catalog files.Catalog
	Blobs   files.Blobs
	Close   func() error
}

// Options says what to run.
type Options struct {
	Store    Store
	Child    []string // command line of a process that calls Child
	Dir      string   // an existing folder to work in; empty: the system's temporary one
	Steps    []string // by name; none: all
	Faults   []Fault  // none: all
	Seed     uint64
	Parallel int        // cells at a time; default 2
	Progress func(Cell) // told of each cell that has ended, one at a time; may be nil
}

// Cell is how one cell ended.
type Cell struct {
	Step     string
	Fault    Fault
	ReadBack int      // files and versions that were read back and compared
	Problems []string // none: the promise held
	Folder   string   // what was left, when there are problems
	Took     time.Duration
}

// Report is a whole run, row by row.
type Report struct {
	Store string
	Seed  uint64
	Cells []Cell
	Took  time.Duration
}

// Green reports whether every cell held; no cells are no proof.
func (r Report) Green() bool {
	for _, c := range r.Cells {
		if len(c.Problems) > 0 {
			return false
		}
	}
	return len(r.Cells) > 0
}
