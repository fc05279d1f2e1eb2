package filessvc

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/text/unicode/norm"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/process"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/telemetry"
)

// errUnsound ends a command that has found damage: the report has said what.
var errUnsound = errors.New("not everything is as it should be")

// progressEvery is how often a long pass says how far it is.
const progressEvery = 5 * time.Second

// program is a files service's process.
type program = process.Program[*v1alpha1.FilesConfig]

func scrubCommand(p program) run.Command {
	return run.Command{
		Name: "scrub", Summary: "read every stored file back: scrub --config DIR [--rate SIZE] [--output json]",
		Run: func(ctx context.Context, args []string, to run.IO) error {
			c := check{program: p}
			fs := run.Flags("scrub", "Reads all stored bytes back and compares them with their digests. What does not match goes into quarantine; "+
				"what is whole again leaves it. Works while the service runs. Fails when anything is wrong.", to)
			c.flags(fs)
			fs.StringVar(&c.output, "output", "text", "text or json")
			fs.StringVar(&c.rate, "rate", "", "bytes a second at most, such as 50Mi; as quickly as the disk can when left out")
			if err := run.ParseFlags(fs, args, 0, 0); err != nil {
				return err
			}
			return c.run(ctx, to)
		},
	}
}

func verifyBackupCommand(p program) run.Command {
	return run.Command{
		Name: "verify-backup", Summary: "check a restored database and blob folder: verify-backup --config DIR [--quick] [--output json]",
		Run: func(ctx context.Context, args []string, to run.IO) error {
			c := check{program: p, pass: files.ScrubPass{ReadOnly: true, Keys: true}}
			fs := run.Flags("verify-backup", "Checks that a restored database and a restored blob folder belong together: every file's bytes are there, "+
				"with their digest. The FilesConfig names what was restored. No row is changed. Fails when a file is damaged or missing.", to)
			c.flags(fs)
			fs.StringVar(&c.output, "output", "text", "text or json")
			fs.BoolVar(&c.pass.Quick, "quick", false, "only look whether each is there with its size")
			fs.BoolVar(&c.strict, "strict", false, "fail as well when the folder has bytes that no row knows, as it has when it is newer than the database")
			if err := run.ParseFlags(fs, args, 0, 0); err != nil {
				return err
			}
			return c.run(ctx, to)
		},
	}
}

// place is where a command finds the resources, and what they name.
type place struct {
	config run.Places
	base   run.Base
}

func (p *place) flags(fs *flag.FlagSet) {
	fs.Var(&p.config, "config", "resources as for serve, and as often, with exactly one FilesConfig")
	p.base.Flag(fs)
}

// load reads the resources, and what else opening the stores takes. What goes well is told on stdout; stderr is for what does not.
func (p place) load(ctx context.Context, program program, to run.IO) (Config, Deps, error) {
	boot, deps, err := program.Load(ctx, p.config, telemetry.NewLogger(to.Stderr, slog.LevelWarn, program.Name))
	return Config{Boot: boot, BaseDir: string(p.base)}, deps, err
}

// check is one run of a command that reads stored bytes back.
type check struct {
	place
	program program
	output  string
	rate    string
	strict  bool
	pass    files.ScrubPass
}

func (c check) run(ctx context.Context, to run.IO) error {
	c.pass.Rate = v1alpha1.Size(c.rate).Bytes()
	switch {
	case len(c.config) == 0:
		return fmt.Errorf("%w: --config DIR is needed", run.ErrUsage)
	case c.output != "text" && c.output != "json":
		return fmt.Errorf("%w: --output is text or json", run.ErrUsage)
	case c.rate != "" && c.pass.Rate == 0:
		return fmt.Errorf("%w: --rate is a size above zero, such as 50Mi", run.ErrUsage)
	}
	log := telemetry.NewLogger(to.Stderr, slog.LevelInfo, c.program.Name)
	cfg, deps, err := c.load(ctx, c.program, to)
	if err != nil {
		return err
	}
	core, shut, err := openForCheck(ctx, cfg, deps)
	if err != nil {
		return c.base.Lost(err)
	}
	defer shut()
	began, told := time.Now(), time.Now()
	c.pass.Progress = func(r files.ScrubReport) {
		if time.Since(told) >= progressEvery {
			told = time.Now()
			log.InfoContext(ctx, "reading back", "blobs", r.Blobs, "bytes", r.Bytes, "bad", r.Corrupt+r.Missing+r.Unreadable)
		}
	}
	report, err := core.Scrub(ctx, c.pass)
	sound := err == nil && report.Sound() // of what was not looked at nothing is known
	if err := c.write(to.Stdout, report, sound, time.Since(began)); err != nil {
		return err
	}
	switch {
	case err != nil:
		return err
	case !sound, c.strict && report.UnknownKeys > 0:
		return errUnsound
	default:
		return nil
	}
}

// openForCheck opens stores that must be there already: an empty new one would be found sound.
func openForCheck(ctx context.Context, cfg Config, deps Deps) (*files.Service, func(), error) {
	rows, err := openCatalogue(ctx, cfg, deps, toLook)
	if err != nil {
		return nil, nil, err
	}
	blobs, err := openBlobs(cfg, deps, toLook)
	if err != nil {
		return nil, nil, errors.Join(err, rows.shut())
	}
	shut := func() {
		if err := errors.Join(blobs.Close(), rows.shut()); err != nil {
			deps.Log.WarnContext(ctx, "stores could not be closed", "error", err.Error())
		}
	}
	core, err := files.New(rows.rows, blobs, newID, norm.NFC.String, deps.Log, files.Options{})
	if err != nil {
		shut()
		return nil, nil, err
	}
	return core, shut, nil
}

// reportJSON is a report as scripts read it. Names are stable.
type reportJSON struct {
	Sound        bool         `json:"sound"`
	Blobs        int64        `json:"blobs"`
	Bytes        int64        `json:"bytes"`
	Verified     int64        `json:"verified"`
	Corrupt      int64        `json:"corrupt"`
	Missing      int64        `json:"missing"`
	Unreadable   int64        `json:"unreadable"`
	Infected     int64        `json:"infected"`
	UnknownKeys  int64        `json:"unknown_keys"`
	Milliseconds int64        `json:"took_ms"`
	Flawed       []flawedJSON `json:"flawed"`
}

type flawedJSON struct {
	Blob    string `json:"blob"`
	Owner   string `json:"owner"`
	Size    int64  `json:"size"`
	Flaw    string `json:"flaw"`
	FileID  string `json:"file_id,omitempty"`
	Name    string `json:"name,omitempty"`
	Version int64  `json:"version,omitempty"`
}

func (c check) write(w io.Writer, r files.ScrubReport, sound bool, took time.Duration) error {
	if c.output == "json" {
		out := reportJSON{
			Sound: sound, Blobs: r.Blobs, Bytes: r.Bytes, Verified: r.Verified, Corrupt: r.Corrupt, Missing: r.Missing,
			Unreadable: r.Unreadable, Infected: r.Infected, UnknownKeys: r.UnknownKeys, Milliseconds: took.Milliseconds(), Flawed: []flawedJSON{},
		}
		for _, f := range r.Flawed {
			out.Flawed = append(out.Flawed, flawedJSON{string(f.Blob), string(f.Owner), f.Size, string(f.Flaw), string(f.File), f.Name, f.Version})
		}
		return json.NewEncoder(w).Encode(out)
	}
	for _, f := range r.Flawed {
		line := fmt.Sprintf("%-10s blob %s of %s, %d bytes", f.Flaw, f.Blob, f.Owner, f.Size)
		if f.File != "" {
			line += fmt.Sprintf(": file %s, %q, version %d", f.File, f.Name, f.Version)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d blobs looked at, %d bytes read in %s: %d right, %d corrupt, %d missing, %d unreadable, %d infected; %d unknown keys\n",
		r.Blobs, r.Bytes, took.Round(time.Millisecond), r.Verified, r.Corrupt, r.Missing, r.Unreadable, r.Infected, r.UnknownKeys)
	return err
}
