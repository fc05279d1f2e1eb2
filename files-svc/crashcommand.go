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

	"cloakroom.dev/files-svc/internal/crashtest"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/telemetry"
)

// crashStores are what the kill-point matrix can run on.
var crashStores = []crashtest.Store{{Name: "sqlite-disk", Open: crashtest.OpenEmbedded}}

// crashChild is the argument with which the matrix starts the process it breaks. That process wants its job on standard
// input and serves none but its own folder.
const crashChild = "child"

func crashtestCommand() run.Command {
	return run.Command{
		Name: "crashtest", Summary: "break the service at every step and look what is left: crashtest [--steps A,B] [--faults A,B] [--output json]",
		Run: func(ctx context.Context, args []string, to run.IO) error {
			if slices.Equal(args, []string{crashChild}) {
				return crashtest.Child(ctx, to.Stdin, to.Stdout, telemetry.NewLogger(to.Stderr, slog.LevelInfo, "crashtest"), crashStores...)
			}
			c, err := parseCrash(args, to)
			if err != nil {
				return err
			}
			return c.run(ctx, to)
		},
	}
}

// crash is one run of the command.
type crash struct {
	opts   crashtest.Options
	output string
	quiet  bool
}

func parseCrash(args []string, to run.IO) (c crash, err error) {
	var steps, faults, store string
	fs := run.Flags("crashtest", "The kill-point matrix: at each step of an upload, a download, the reaper and the scrub, a process of this program is "+
		"killed, loses power, or meets a full disk, a failing disk, a database that is away. Then what is left is compared with what was "+
		"acknowledged. It works on files of its own in a temporary folder. Fails when a cell fails.\n\nSteps: "+namesOf(crashtest.Steps, func(s crashtest.Step) string { return s.Name })+
		"\nFaults: "+namesOf(crashtest.Faults, func(f crashtest.Fault) string { return string(f) }), to)
	fs.StringVar(&steps, "steps", "", "only these, with commas")
	fs.StringVar(&faults, "faults", "", "only these, with commas")
	fs.StringVar(&store, "store", crashStores[0].Name, "what rows and bytes are kept in: "+namesOf(crashStores, func(s crashtest.Store) string { return s.Name }))
	fs.StringVar(&c.opts.Dir, "dir", "", "existing folder to work in, on the filesystem that is to be tried; a temporary one when left out")
	fs.Uint64Var(&c.opts.Seed, "seed", 1, "contents, sizes and what a power cut takes come from it")
	fs.IntVar(&c.opts.Parallel, "parallel", 2, "cells at a time")
	fs.StringVar(&c.output, "output", "text", "text or json")
	fs.BoolVar(&c.quiet, "quiet", false, "no line for each cell while it runs")
	if err := run.ParseFlags(fs, args, 0, 0); err != nil {
		return c, err
	}
	if c.output != "text" && c.output != "json" {
		return c, fmt.Errorf("%w: --output is text or json", run.ErrUsage)
	}
	if c.opts.Parallel < 1 {
		return c, fmt.Errorf("%w: --parallel is 1 or more", run.ErrUsage)
	}
	i := slices.IndexFunc(crashStores, func(s crashtest.Store) bool { return s.Name == store })
	if i < 0 {
		return c, fmt.Errorf("%w: there is no store %q", run.ErrUsage, store)
	}
	c.opts.Store = crashStores[i]
	c.opts.Steps = list(steps)
	for _, f := range list(faults) {
		c.opts.Faults = append(c.opts.Faults, crashtest.Fault(f))
	}
	if err := c.opts.Check(); err != nil {
		return c, fmt.Errorf("%w: %w", run.ErrUsage, err)
	}
	return c, nil
}

func namesOf[T any](all []T, name func(T) string) string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = name(v)
	}
	return strings.Join(out, ", ")
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// errCrash ends the command when a promise was broken: the table has said which.
var errCrash = errors.New("what was promised does not hold at every step")

func (c crash) run(ctx context.Context, to run.IO) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	c.opts.Child = []string{program, "crashtest", crashChild}
	done := 0
	c.opts.Progress = func(cell crashtest.Cell) {
		done++
		if len(cell.Problems) > 0 || !c.quiet {
			fmt.Fprintf(to.Stderr, "%3d  %s\n", done, cell.Line())
		}
	}
	report, err := crashtest.Run(ctx, c.opts)
	if err != nil {
		return err
	}
	if err := c.write(to.Stdout, report); err != nil {
		return err
	}
	if !report.Green() {
		return errCrash
	}
	return nil
}

func (c crash) write(w io.Writer, r crashtest.Report) error {
	if c.output == "json" {
		return r.WriteJSON(w)
	}
	return r.WriteTable(w)
}
