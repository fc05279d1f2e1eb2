// Package dir is a resource.Source over a folder of YAML: a developer's config folder or a mounted ConfigMap.
//
// Flow: the files of the folder (not of folders in it) are read, parsed and applied to a ledger; file events and a
// periodic look start that anew once the folder has been quiet for a moment. Symbolic links are followed, so a ConfigMap's
// `..data` swap is one change. Status goes to files, to an http.Handler for the ops port and to metrics.
//
// Promises: an empty or vanished folder keeps the last snapshot; a half-written file changes nothing that is in force;
// reading is bounded (1 MiB a file, 1000 files, 1000 objects).
package dir

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/resource/board"
	"cloakroom.dev/libs/resource/ledger"

	"github.com/prometheus/client_golang/prometheus"
)

var _ resource.Source = (*Source)(nil)

// Options of a Source. The zero value works.
type Options struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer

	// Kinds limits what is read to the kinds this process uses; the others are left to whoever does. Empty means all.
	Kinds []string

	// Settle is how long the folder must be quiet before a change is taken. Zero means 200 ms. A change that would take
	// objects away waits five times as long: it may be a file that is still being written.
	Settle time.Duration

	// Rescan is how often the folder is looked at without being asked, for file systems that tell no events. Zero means
	// 30 s.
	Rescan time.Duration
}

// Source reads one folder. It is safe for concurrent use, so one Source can serve several services of a process.
type Source struct {
	folder   string
	opts     Options
	log      *slog.Logger
	metrics  *board.Meter
	admitter *admit.Admitter

	mu       sync.Mutex
	ledger   *ledger.Ledger
	applied  string // fingerprint of the content in the ledger; empty before the first
	first    *resource.Snapshot
	loadedAt time.Time
	trouble  string // why the last reading brought nothing
	status   statusFiles
}

// New returns a source over a folder. It reads nothing yet.
func New(folder string, opts Options) *Source {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Settle == 0 {
		opts.Settle = 200 * time.Millisecond
	}
	if opts.Rescan == 0 {
		opts.Rescan = 30 * time.Second
	}
	a := admit.Apart(opts.Log)
	return &Source{
		folder: folder, opts: opts, log: opts.Log.With("config_dir", folder), admitter: a,
		metrics: board.NewMeter(opts.Registerer),
		ledger:  ledger.New(a, time.Now),
	}
}

// Load reads the folder unless that was done before, and returns the present snapshot. It fails when the folder can't be
// read or holds no resource; objects that are refused don't make it fail, see Findings.
func (s *Source) Load(ctx context.Context) (*resource.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first != nil {
		return s.ledger.Snapshot(), nil
	}
	r, err := read(s.folder, s.opts.Kinds)
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	if r.look.Empty() {
		return nil, fmt.Errorf("load configuration: no resource in %s: *.yaml, *.yml or *.json files are looked for", s.folder)
	}
	s.apply(ctx, r)
	s.first = s.ledger.Snapshot()
	return s.first, nil
}

// Findings returns everything wrong with the configuration as last read.
func (s *Source) Findings() []resource.Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.Findings()
}

// Report takes what a service says about objects.
func (s *Source) Report(_ context.Context, statuses []resource.Status) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ledger.Report(statuses) {
		return nil
	}
	return s.status.write(s.ledger.Records())
}

// ServeHTTP shows the state of every object, for /-/resources on the ops port.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	page := board.Page{
		From: s.folder, Snapshot: s.ledger.Snapshot().Digest, ReadAt: s.loadedAt.UTC(), Trouble: s.trouble,
		Findings: s.ledger.Strays(), Resources: s.ledger.Records(),
	}
	s.mu.Unlock()
	page.Write(w, r)
}

// KeepStatus has the status of every object written below stateDir, as status/<kind>-<name>.yaml, from now on.
func (s *Source) KeepStatus(stateDir string) error {
	folder := filepath.Join(stateDir, "status")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("keep status files: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = statusFiles{folder: folder, kinds: s.opts.Kinds, written: map[string]string{}}
	return s.status.write(s.ledger.Records())
}

// apply takes a reading into the ledger and tells log, metrics and status files. The caller holds the lock.
func (s *Source) apply(ctx context.Context, r reading) {
	before, waited := s.ledger.Findings(), s.ledger.Waiting()
	changed := s.ledger.Apply(ctx, r.look)
	s.admitter.Release()
	s.applied, s.trouble = r.fingerprint, ""
	if s.ledger.Empty() {
		s.trouble = "the folder holds no resource: keeping the last snapshot"
	}
	s.loadedAt = time.Now()
	s.tell(ctx, before, waited, changed)
	if err := s.status.write(s.ledger.Records()); err != nil {
		s.log.WarnContext(ctx, "status files not written", "error", err.Error())
	}
}

// tell logs what the reading meant: one line for the whole, one for each finding that is new and each change that waits.
func (s *Source) tell(ctx context.Context, before []resource.Finding, waited []resource.Record, changed bool) {
	accepted, rejected := s.ledger.Counts()
	s.metrics.Applied(s.ledger.Snapshot(), accepted, rejected, s.trouble == "")
	if s.trouble != "" {
		s.log.WarnContext(ctx, "configuration folder is empty, last snapshot kept", "snapshot", s.ledger.Snapshot().Short())
		return
	}
	known := map[string]bool{}
	for _, f := range before {
		known[f.String()] = true
	}
	for _, f := range s.ledger.Findings() {
		if !known[f.String()] {
			s.log.WarnContext(ctx, "resource refused", "kind", f.Kind, "name", f.Name, "file", f.File, "line", f.Line, "field", f.Field, "problem", f.Message)
		}
	}
	for _, r := range s.ledger.Waiting() {
		told := func(w resource.Record) bool {
			return w.Kind == r.Kind && w.Name == r.Name && w.Generation == r.Generation
		}
		if !slices.ContainsFunc(waited, told) {
			s.log.WarnContext(ctx, "resource waits for the next start", "kind", r.Kind, "name", r.Name, "file", r.File)
		}
	}
	s.log.InfoContext(ctx, "configuration read", "snapshot", s.ledger.Snapshot().Short(), "changed", changed, "accepted", accepted, "rejected", rejected)
}
