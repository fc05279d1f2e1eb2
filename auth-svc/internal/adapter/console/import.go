package console

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"cloakroom.dev/libs/run"

	"cloakroom.dev/auth-svc/internal/adapter/console/importdump"
	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

// importFlags is what user import can be told.
type importFlags struct {
	system, source, refused, onConflict, hash, mapTo string
	dryRun, restart, allowAdmin                      bool
	dump                                             importdump.Options
}

func importUsers() verb {
	var f importFlags
	return verb{
		name: "import", operands: "FILE",
		summary: "Makes people out of a file with one JSON object a line, or of another system's dump (- for stdin), with the password hashes they have.",
		details: importHelp,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&f.system, "from", ndjson, "what FILE is: ndjson, or the dump of "+strings.Join(importdump.Systems, ", "))
			fs.StringVar(&f.source, "source", "", "a word for the system they come from, the same every time; needed for ndjson, else --from when left out")
			fs.StringVar(&f.hash, "hash", "", "how user-management made its hashes (default scrypt,n=16384,r=8,p=1,salt=text), or pbkdf2,digest=sha512,iterations=100000,salt=text")
			fs.StringVar(&f.mapTo, "map", "", "where to write who is who, for the import of their files: {foreign_id, user_id} a line")
			fs.StringVar(&f.refused, "refused", "", "where to write what was left out and why (default FILE.refused.ndjson)")
			fs.StringVar(&f.onConflict, "on-conflict", "skip", "when an identifier is taken: skip the line, or fail and stop before it")
			fs.BoolVar(&f.dryRun, "dry-run", false, "say what would happen, and write nothing but the report")
			fs.BoolVar(&f.restart, "restart", false, "begin at the first line, though a former run has come further; nobody is made twice")
			fs.BoolVar(&f.allowAdmin, "allow-admin", false, "let lines make administrators")
		},
		do: func(ctx context.Context, c *call) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.run(ctx, c)
		},
	}
}

const importHelp = `
A line has any of: id, email, email_verified, phone, username, name, status (active, blocked), roles, created_at (RFC 3339),
and password_hash or password. password_hash is bcrypt, argon2i, argon2id, scrypt or PBKDF2 in PHC or modular crypt form;
password is {algorithm, hash, salt, encoding, salt_encoding, digest, iterations, n, r, p, memory_kib} for systems that keep
the parts apart. One of email, phone and username is needed. People keep their passwords; the first login makes a new hash.

It runs beside a service that serves, in small batches. Cut anywhere, even by kill -9, the same command goes on where it
was; done, it does nothing. Lines that can't be taken are left out, and the report says which and why.

Exit codes: 0 everybody is in, 1 it broke off, 2 the command line makes no sense, 3 some lines were left out.

  auth-svc user import --config DIR --source shop --dry-run people.ndjson
  auth-svc user import --config DIR --source shop people.ndjson
  mysql … | jq -c … | auth-svc user import --config DIR --source shop -
  auth-svc user import --config DIR --from rest-auth-files --map people.map dump.sql`

// importer takes a batch: the core, or its preview.
type importer func(ctx context.Context, b identity.ImportBatch) (identity.ImportState, bool, error)

// running is one run of the command.
type running struct {
	importFlags
	call    *call
	take    importer
	in      input
	passed  *counted // of the input
	report  *refusals
	told    *progress
	state   identity.ImportState
	began   time.Time
	from    int64 // the line a former run has come to
	stopped bool
	pace    pace
}

func (f importFlags) run(ctx context.Context, c *call) (err error) {
	file, size, err := openInput(c)
	if err != nil {
		return err
	}
	defer file.Close()
	r := &running{importFlags: f, call: c, began: time.Now(), pace: newPace()}
	if r.state, err = c.core.ImportState(ctx, nobody, f.source); err != nil {
		return err
	}
	r.take = func(ctx context.Context, b identity.ImportBatch) (identity.ImportState, bool, error) {
		return c.core.Import(ctx, nobody, b)
	}
	var preview *identity.ImportPreview
	if f.dryRun {
		preview = c.core.PreviewImport()
		r.take = func(ctx context.Context, b identity.ImportBatch) (identity.ImportState, bool, error) {
			return preview.Import(ctx, nobody, b)
		}
	}
	if err := r.find(file); err != nil {
		return err
	}
	if r.report, err = openRefusals(f.reportPath(c.operands[0]), r.state); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.report.close()) }()
	r.told = c.progress("lines", size)
	err = r.all(ctx)
	r.told.end()
	if err == nil && f.mapTo != "" && !f.dryRun {
		err = f.writeMap(ctx, c.core)
	}
	if preview != nil && preview.Full() {
		fmt.Fprintln(c.to.Stderr, "The input is too large to remember: towards its end only doubles with people who exist were looked for.")
	}
	return r.finish(err)
}

func openInput(c *call) (file io.ReadCloser, size int64, err error) {
	if c.operands[0] == "-" {
		return io.NopCloser(c.to.Stdin), 0, nil
	}
	f, err := os.Open(c.operands[0])
	if err != nil {
		return nil, 0, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return f, size, nil
}

func (f importFlags) reportPath(input string) string {
	if f.refused != "" {
		return f.refused
	}
	if input == "-" {
		input = f.source
	}
	if f.dryRun {
		return input + ".dry-run.ndjson"
	}
	return input + ".refused.ndjson"
}

// find goes to where a former run has been. Another input begins anew: who is in already is known again.
func (r *running) find(file io.Reader) error {
	if err := r.read(file); err != nil {
		return err
	}
	if r.restart {
		r.beginAnew()
		return nil
	}
	same, err := r.in.Skip(r.state.Cursor)
	if err != nil {
		return err
	}
	if same {
		r.from = r.state.Cursor.Lines
		return nil
	}
	back, ok := file.(io.Seeker)
	if !ok || r.call.operands[0] == "-" {
		return fmt.Errorf("%w: stdin is not what the last import from %s was given; add --restart to begin with it", run.ErrUsage, r.source)
	}
	if _, err := back.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the input from its beginning: %w", err)
	}
	if err := r.read(file); err != nil {
		return err
	}
	r.beginAnew()
	return nil
}

func (r *running) beginAnew() {
	r.state.Cursor, r.state.Counts, r.state.Refused = identity.ImportCursor{}, identity.ImportCounts{}, nil
}

func (r *running) all(ctx context.Context) error {
	for {
		people, readErr := r.batch()
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return readErr
		}
		if len(people) > 0 {
			if err := r.one(ctx, people); err != nil || r.stopped {
				return err
			}
		}
		if readErr != nil {
			return nil
		}
	}
}

func (r *running) batch() (people []identity.Incoming, err error) {
	for len(people) < r.pace.size {
		in, err := r.in.Next()
		if err != nil {
			return people, err
		}
		people = append(people, in)
	}
	return people, nil
}

// one has a batch taken, and writes what was refused.
func (r *running) one(ctx context.Context, people []identity.Incoming) error {
	began := time.Now()
	state, stopped, err := r.take(ctx, identity.ImportBatch{
		From: r.state, People: people, FailOnConflict: r.onConflict == "fail", AllowAdmin: r.allowAdmin,
	})
	if err != nil {
		return err
	}
	r.state, r.stopped = state, stopped
	if err := r.report.add(state.Refused); err != nil {
		return err
	}
	r.told.set(state.Cursor.Lines-r.from, r.passed.n)
	if r.dryRun || len(people) < r.pace.size {
		return nil
	}
	return r.pace.step(ctx, time.Since(began))
}

// imported is the result for programs.
type imported struct {
	Source string `json:"source"`
	DryRun bool   `json:"dry_run"`
	Done   bool   `json:"done"`
	Lines  int64  `json:"lines"`      // of the input, those of former runs included
	From   int64  `json:"from_line"`  // where this run began
	Stop   *int64 `json:"stopped_at"` // the line whose identifier is taken
	identity.ImportCounts
	Report    *string `json:"report"`
	Seconds   float64 `json:"seconds"`
	PerSecond int64   `json:"per_second"`
}

// finish prints how far it came, whether or not it came to the end.
func (r *running) finish(err error) error {
	took := time.Since(r.began)
	out := imported{
		Source: r.source, DryRun: r.dryRun, Done: err == nil && !r.stopped, Lines: r.state.Cursor.Lines, From: r.from,
		ImportCounts: r.state.Counts, Report: wire.OrNull(r.report.written()), Seconds: took.Seconds(),
		PerSecond: int64(float64(r.state.Cursor.Lines-r.from) / took.Seconds()),
	}
	if r.stopped {
		out.Stop = &r.state.Refused[len(r.state.Refused)-1].Line
	}
	if printErr := r.call.print(out, out.text()); printErr != nil {
		return errors.Join(err, printErr)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("stopped behind line %d; the same command goes on from there", r.state.Cursor.Lines)
	case err != nil:
		return err
	case r.stopped:
		return fmt.Errorf("line %d: an identifier is taken (--on-conflict=fail); nothing from there on was imported", *out.Stop)
	case out.Skipped+out.Refused > 0:
		return run.ErrPartial
	default:
		return nil
	}
}

func (out imported) text() string {
	verb := "imported"
	if out.DryRun {
		verb = "would be imported"
	}
	lines := []string{
		fmt.Sprintf("%d %s, %d there before, %d skipped for a taken identifier, %d refused; %d lines from %s",
			out.Created, verb, out.Present, out.Skipped, out.Refused, out.Lines, out.Source),
		fmt.Sprintf("%.1f s, %d lines a second", out.Seconds, out.PerSecond),
	}
	if out.From > 0 {
		lines = append(lines, fmt.Sprintf("went on behind line %d; the counts are those of the whole input", out.From))
	}
	if out.Report != nil {
		lines = append(lines, "what was left out and why: "+*out.Report)
	}
	return strings.Join(lines, "\n")
}
