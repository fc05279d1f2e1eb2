package crashtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/crashtest"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/run"
)

const childWord = "crashtest-child"

// TestMain lets the test's own program be the child.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == childWord {
		run.Main("crashtest", "", run.Command{Name: childWord, Run: func(ctx context.Context, _ []string, to run.IO) error {
			return crashtest.Child(ctx, to.Stdin, to.Stdout, slog.New(slog.NewTextHandler(to.Stderr, nil)), stores...)
		}})
	}
	os.Exit(m.Run())
}

// stores are the sound one, and those that break a promise: each must turn a cell red.
var stores = []crashtest.Store{
	shared(place{}),
	{Name: "sound", Open: crashtest.OpenEmbedded},
	{Name: "never-syncs", Open: lying(func(c disk.Call, _ func() error) (bool, error) { return c.Kind == disk.CallSync, nil })},
	{Name: "never-syncs-names", Open: lying(func(c disk.Call, _ func() error) (bool, error) {
		return c.Kind == disk.CallSync && isDir(c.File), nil
	})},
	{Name: "syncs-again", Open: lying(func(c disk.Call, do func() error) (bool, error) {
		err := do()
		if c.Kind == disk.CallSync && errors.Is(err, syscall.EIO) {
			err = do()
		}
		return true, err
	})},
	{Name: "never-marks", Open: lying(func(c disk.Call, _ func() error) (bool, error) {
		return c.Kind == disk.CallPatch && filepath.IsAbs(c.File.Name()), nil // who adds to a pack has opened it by its name alone
	})},
	{Name: "never-removes", Open: lying(func(c disk.Call, _ func() error) (bool, error) { return c.Kind == disk.CallRemove, nil })},
	{Name: "answers-before-commit", Open: func(ctx context.Context, folder string, h crashtest.Hooks) (*crashtest.Opened, error) {
		o, err := crashtest.OpenEmbedded(ctx, folder, h)
		if err == nil && h.At != nil {
			o.Catalog = hasty{o.Catalog}
		}
		return o, err
	}},
}

// hasty says yes to a write that is not committed.
type hasty struct{ files.Catalog }

var errNotKept = errors.New("not kept")

func (c hasty) Write(ctx context.Context, fn func(files.Tx) error) error {
	settled := false
	err := c.Catalog.Write(ctx, func(tx files.Tx) error {
		watched := &watchedTx{Tx: tx}
		if err := fn(watched); err != nil || !watched.version {
			return err
		}
		settled = true
		return errNotKept
	})
	if settled && errors.Is(err, errNotKept) {
		return nil
	}
	return err
}

type watchedTx struct {
	files.Tx
	version bool
}

func (t *watchedTx) InsertVersion(ctx context.Context, v files.Version) error {
	t.version = true
	return t.Tx.InsertVersion(ctx, v)
}

func isDir(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.IsDir()
}

// lying opens stores whose filesystem does not do what it says; lie reports whether it has answered itself.
func lying(lie func(c disk.Call, do func() error) (bool, error)) func(context.Context, string, crashtest.Hooks) (*crashtest.Opened, error) {
	return func(ctx context.Context, folder string, h crashtest.Hooks) (*crashtest.Opened, error) {
		if honest := h.Around; honest != nil {
			h.Around = func(c disk.Call, do func() error) error {
				call := func() error { return honest(c, do) }
				if done, err := lie(c, call); done {
					return err
				}
				return call()
			}
		}
		return crashtest.OpenEmbedded(ctx, folder, h)
	}
}

func options(t *testing.T, store string) crashtest.Options {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stores {
		if s.Name == store {
			return crashtest.Options{Store: s, Child: []string{program, childWord}, Dir: t.TempDir(), Seed: 1, Parallel: 2}
		}
	}
	t.Fatalf("no store %q", store)
	return crashtest.Options{}
}

func matrix(t *testing.T, opts crashtest.Options) crashtest.Report {
	t.Helper()
	report, err := crashtest.Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestRun_EveryFaultAtAFewSteps leaves the whole matrix to `make test-chaos`.
func TestRun_EveryFaultAtAFewSteps(t *testing.T) {
	opts := options(t, "sound")
	opts.Steps = []string{"linked", "packed-second", "reap-pack-punched", "read", "resumable-synced"}
	report := matrix(t, opts)
	for _, c := range report.Cells {
		if len(c.Problems) > 0 || c.ReadBack == 0 {
			t.Error(c.Line())
		}
	}
	if want := len(opts.Steps) * len(crashtest.Faults); len(report.Cells) != want || !report.Green() {
		t.Errorf("%d cells, green: %v; want %d", len(report.Cells), report.Green(), want)
	}
	left, err := os.ReadDir(opts.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("a green run leaves %v behind (%v)", left, err)
	}
}

// TestRun_FindsWhoBreaksAPromise is the proof that a cell can be red.
func TestRun_FindsWhoBreaksAPromise(t *testing.T) {
	for _, tc := range []struct {
		store, step string
		fault       crashtest.Fault
		says        string
	}{
		{"never-syncs", "outbox", crashtest.PowerCut, "can't be read"},
		{"never-syncs-names", "outbox", crashtest.PowerCut, "can't be read"},
		{"syncs-again", "received", crashtest.IOError, "synced again"},
		{"never-removes", "read-delete", crashtest.NoSpace, "left over"},
		{"never-marks", "reap-begin", crashtest.NoSpace, "left over"},
		{"answers-before-commit", "outbox", crashtest.Kill, "acknowledged and is gone"},
	} {
		t.Run(tc.store, func(t *testing.T) {
			opts := options(t, tc.store)
			opts.Steps, opts.Faults = []string{tc.step}, []crashtest.Fault{tc.fault}
			report := matrix(t, opts)
			if report.Green() {
				t.Fatalf("%s is green on a store that %s", tc.step, tc.store)
			}
			if said := report.Cells[0].Line(); !strings.Contains(said, tc.says) {
				t.Errorf("the cell says %q, want %q in it", said, tc.says)
			}
			if _, err := os.Stat(report.Cells[0].Folder); err != nil {
				t.Errorf("what is left of a failed cell is not kept: %v", err)
			}
		})
	}
}

func TestReport_TableAndJSONSayTheSame(t *testing.T) {
	r := crashtest.Report{Store: "s", Seed: 7, Cells: []crashtest.Cell{
		{Step: "authorized", Fault: crashtest.Kill, ReadBack: 12},
		{Step: "authorized", Fault: crashtest.NoSpace, Problems: []string{"lost", "found"}},
	}}
	var table, raw bytes.Buffer
	if err := errors.Join(r.WriteTable(&table), r.WriteJSON(&raw)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kill -9", "ENOSPC", "after auth", "✓ 12", "✗ 2", "2 cells on s, 1 failed; 12 files", "seed 7"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
	var got struct {
		Green bool
		Cells []struct {
			OK       bool `json:"ok"`
			Problems []string
		}
	}
	if err := json.Unmarshal(raw.Bytes(), &got); err != nil || got.Green || len(got.Cells) != 2 || !got.Cells[0].OK || len(got.Cells[1].Problems) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	if (crashtest.Report{}).Green() {
		t.Error("no cells are no proof")
	}
}
