package crashtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"cloakroom.dev/files-svc/internal/adapter/httpapi"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/web"
)

// owner is the one person of the matrix.
const owner = files.OwnerID("ann")

// job is what the parent hands its child, as one line on its standard input. There is no other way to it.
type job struct {
	Store  string
	Folder string
	Socket string
	Offset time.Duration // of the child's clock
	Seed   uint64
}

// ready is what the child prints once it serves.
const ready = "ready"

// BlobFolder is where a store in a folder keeps its bytes: what a power cut is about.
const BlobFolder = "blobs"

// Child is the process that breaks. It serves the files of one person, whoever asks, on a Unix socket in a folder that
// only its own user can enter, until it is told to stop or its parent is gone.
func Child(ctx context.Context, in io.Reader, out io.Writer, log *slog.Logger, stores ...Store) error {
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return errors.New("this is the part of `crashtest` that breaks: it is started by it")
	}
	var j job
	if err := json.Unmarshal(line, &j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	go func() { // the parent never writes again: its end is the end
		_, _ = io.Copy(io.Discard, lines)
		os.Exit(1)
	}()
	for _, s := range stores {
		if s.Name == j.Store {
			return j.serve(ctx, s, out, log)
		}
	}
	return fmt.Errorf("there is no store %q", j.Store)
}

func (j job) serve(ctx context.Context, store Store, out io.Writer, log *slog.Logger) (err error) {
	attic := filepath.Join(j.Folder, "attic")
	if err := os.MkdirAll(attic, 0o700); err != nil {
		return fmt.Errorf("make a place for removed names: %w", err)
	}
	m := &machine{
		power: newPower(filepath.Join(j.Folder, BlobFolder), attic, rand.New(rand.NewPCG(j.Seed, 1))), //nolint:gosec // must be repeatable
		dark:  killSelf,
	}
	opened, err := store.Open(ctx, j.Folder, Hooks{At: m.at, Around: m.around, Ask: m.ask, Read: m.read})
	if err != nil {
		return fmt.Errorf("open the stores: %w", err)
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	clock := &clock{}
	clock.turn(j.Offset)
	first := newFirstPass()
	core, err := newCore(&Opened{Catalog: brittleRows{opened.Catalog, m}, Blobs: opened.Blobs}, clock.now, m.at, first, log)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", j.Socket)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	go func() {
		<-first.ended
		awaitBeat(ctx, opened.Catalog)
		fmt.Fprintln(out, ready)
	}()
	return run.Serve(ctx, run.ServeOptions{Log: log, DrainTimeout: 5 * time.Second},
		[]run.Server{{Name: "crashtest", Listener: listener, Handler: handler(core, m, clock, log), Stage: run.Front}}, core.Run)
}

// awaitBeat waits until the core's own first beat is in the catalog. After it and the first pass, the core does nothing by
// itself that a cell could take for its own.
func awaitBeat(ctx context.Context, rows files.Catalog) {
	for beats := false; !beats && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		_ = rows.Read(ctx, func(tx files.ReadTx) error { // a failure is one more try
			epochs, err := tx.Epochs(ctx)
			for _, e := range epochs {
				beats = beats || e.State == files.EpochOpen && e.Beats > 0
			}
			return err
		})
	}
}

// newCore makes a core whose reaper comes when it is called, and once at the start of Run.
func newCore(s *Opened, now func() time.Time, at func(string) error, meter files.Meter, log *slog.Logger) (*files.Service, error) {
	newID := func() string { return uuid.Must(uuid.NewV7()).String() }
	return files.New(s.Catalog, s.Blobs, newID, norm.NFC.String, log, files.Options{
		Now: now, At: at, Meter: meter, ReapEvery: time.Hour, RestoreHorizon: -1,
		Policy: func() files.Policy { return files.Policy{QuotaBytes: 1 << 30, KeepVersions: 1} },
	})
}

// handler is the edge of the service for the one person, and beside it what the parent steers with.
func handler(core *files.Service, m *machine, c *clock, log *slog.Logger) http.Handler {
	mux := web.NewMux()
	httpapi.Mount(mux, core, asOwner, web.NewCursorCodec([32]byte{}), func() (files.Policy, error) { return files.Policy{}, nil }, nil,
		httpapi.Options{Pace: httpapi.Pace{Window: 5 * time.Second}})
	top := http.NewServeMux()
	top.Handle("/crashtest/", (&steering{core: core, m: m, clock: c}).handler())
	top.Handle("/", web.Edge(m.answers(mux), web.EdgeOptions{Listener: "crashtest", Log: log}))
	return top
}

// asOwner takes everyone for the one person.
func asOwner(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(as(r.Context())))
	})
}

// as is a context in which the one person calls.
func as(ctx context.Context) context.Context {
	p := principal.Principal{UserID: string(owner), SessionID: "session"}
	for _, action := range []string{"read", "create", "update", "delete"} {
		p.Permissions = append(p.Permissions, principal.Permission{Resource: "files", Action: action, Scope: principal.Self})
	}
	return principal.With(ctx, p)
}

// answers lets an answer be lost when that is what is armed.
func (m *machine) answers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(answer{w, m}, r)
	})
}

// answer is a response that can be lost.
type answer struct {
	http.ResponseWriter
	m *machine
}

// WriteHeader implements http.ResponseWriter.
func (a answer) WriteHeader(status int) {
	before := a.m.wasHit()
	_ = a.m.at(pointAnswer) // breaks by itself
	if !before && a.m.struck(pointAnswer) {
		panic(http.ErrAbortHandler)
	}
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (a answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// clock is the real one, turned by hand.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

func (c *clock) turn(by time.Duration) { c.offset.Add(int64(by)) }
