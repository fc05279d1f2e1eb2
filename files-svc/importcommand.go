package filessvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"cloakroom.dev/files-svc/internal/adapter/importfiles"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/telemetry"
)

// ndjson is what import reads unless it is told of a dump.
const ndjson = "ndjson"

const maxImporters = 32

// importFlags is what import can be told.
type importFlags struct {
	place
	system, source, list, uploads, people, owner, refused, output string
	ignoreQuota, dryRun                                           bool
	parallel                                                      int
}

const importHelp = `Brings files of another system in, each once: cut anywhere, even by kill -9, or done, the same command goes on where it was.

Usage:
  files-svc import --config DIR --dump FILE --uploads DIR --map FILE [flags]

FILE has one JSON object a line: path (in the folder of uploads), owner (the person's id there) or user_id (here), and any of id,
name, content_type, size, sha256, created_at; or it is the dump of a system (--from). The map comes from
` + "`auth-svc user import --map`" + `. It works while the service runs. Files that can't be taken are left out, and the report says which and why.

Exit codes: 0 every file is in, 1 it broke off, 2 the command line makes no sense, 3 some files were left out.

  files-svc import --config DIR --from rest-auth-files --dump dump.sql --uploads uploads --map people.map
  files-svc import --config DIR --source shop --dump files.ndjson --uploads uploads --map people.map --dry-run`

func importCommand(p program) run.Command {
	return run.Command{
		Name: "import", Summary: "bring files of another system in: import --config DIR --dump FILE --uploads DIR --map FILE",
		Run: func(ctx context.Context, args []string, to run.IO) error {
			var f importFlags
			fs := run.Flags("import", importHelp, to)
			f.flags(fs)
			fs.StringVar(&f.system, "from", ndjson, "what the list is: ndjson, or the dump of "+strings.Join(importfiles.Systems, ", "))
			fs.StringVar(&f.source, "source", "", "a word for the system they come from, the same every time; needed for ndjson, else --from when left out")
			fs.StringVar(&f.list, "dump", "", "the list of files, or the dump (- for stdin)")
			fs.StringVar(&f.uploads, "uploads", "", "folder where their bytes lie; no path leads out of it")
			fs.StringVar(&f.people, "map", "", "who is who: {foreign_id, user_id} a line")
			fs.StringVar(&f.owner, "owner", "", "whose the files are that the list gives to nobody: their id there, or here")
			fs.StringVar(&f.refused, "refused", "", "where to write what was left out and why (default FILE.refused-files.ndjson)")
			fs.StringVar(&f.output, "output", "text", "text or json")
			fs.BoolVar(&f.ignoreQuota, "ignore-quota", false, "take files in though their owners' quota is used up")
			fs.BoolVar(&f.dryRun, "dry-run", false, "say what would happen, quota aside, and write nothing but the report")
			fs.IntVar(&f.parallel, "parallel", 4, fmt.Sprintf("files at a time, at most %d", maxImporters))
			if err := run.ParseFlags(fs, args, 0, 0); err != nil {
				return err
			}
			if err := f.check(); err != nil {
				return err
			}
			return f.run(ctx, p, to)
		},
	}
}

// check completes what the flags say.
func (f *importFlags) check() error {
	if f.source == "" && f.system != ndjson {
		f.source = f.system
	}
	if f.refused == "" {
		if f.refused = f.list; f.list == "-" {
			f.refused = f.source
		}
		f.refused += ".refused-files.ndjson"
	}
	switch {
	case len(f.config) == 0:
		return fmt.Errorf("%w: --config DIR is needed", run.ErrUsage)
	case f.list == "" || f.uploads == "":
		return fmt.Errorf("%w: --dump FILE and --uploads DIR are needed", run.ErrUsage)
	case f.system != ndjson && !slices.Contains(importfiles.Systems, f.system):
		return fmt.Errorf("%w: --from is ndjson, %s", run.ErrUsage, strings.Join(importfiles.Systems, ", "))
	case f.source == "":
		return fmt.Errorf("%w: --source WORD is needed", run.ErrUsage)
	case f.output != "text" && f.output != "json":
		return fmt.Errorf("%w: --output is text or json", run.ErrUsage)
	case f.parallel < 1 || f.parallel > maxImporters:
		return fmt.Errorf("%w: --parallel is 1 to %d", run.ErrUsage, maxImporters)
	}
	return nil
}

// run opens all that is needed, imports, and tells.
func (f importFlags) run(ctx context.Context, p program, to run.IO) (err error) {
	i := &importing{importFlags: f, to: to, log: telemetry.NewLogger(to.Stderr, slog.LevelInfo, p.Name)}
	if i.owners, err = f.readPeople(); err != nil {
		return err
	}
	if i.folder, err = importfiles.OpenFolder(f.uploads); err != nil {
		return err
	}
	defer i.folder.Close()
	list := io.NopCloser(to.Stdin)
	if f.list != "-" {
		if list, err = os.Open(f.list); err != nil {
			return err
		}
	}
	defer list.Close()
	if f.system == ndjson {
		i.list = importfiles.NewNDJSON(list)
	} else if i.list, err = importfiles.Open(f.system, list); err != nil {
		return err
	}
	cfg, deps, err := f.load(ctx, p, to)
	if err != nil {
		return err
	}
	core, shut, err := f.openCore(ctx, cfg, deps)
	if err != nil {
		return err
	}
	i.core = core
	defer func() { err = errors.Join(err, shut()) }()
	return i.run(ctx)
}

func (f importFlags) readPeople() (importfiles.Owners, error) {
	if f.people == "" {
		return importfiles.Owners{}, nil
	}
	file, err := os.Open(f.people)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return importfiles.ReadOwners(file)
}

// openCore opens the stores that the service uses, under the policy that it follows.
func (f importFlags) openCore(ctx context.Context, cfg Config, deps Deps) (*files.Service, func() error, error) {
	live, err := loadPolicy(ctx, cfg.Boot, deps)
	if err != nil {
		return nil, nil, err
	}
	policy, err := live.accepted()
	if err != nil {
		return nil, nil, err
	}
	if f.ignoreQuota {
		policy.QuotaBytes = 0
	}
	stores, err := openStores(ctx, cfg, deps)
	if err != nil {
		return nil, nil, err
	}
	core, err := files.New(stores.rows, stores.blobs, newID, norm.NFC.String, deps.Log, files.Options{
		Policy: func() files.Policy { return policy }, Turns: stores.turns, RestoreHorizon: restoreHorizon(cfg.Boot.Spec), Scan: scan(cfg.Boot.Spec),
	})
	if err != nil {
		return nil, nil, errors.Join(err, stores.close())
	}
	return core, stores.close, nil
}
