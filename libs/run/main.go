package run

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
)

// Exit codes, the same for every command of every program.
const (
	ExitOK      = 0
	ExitFailure = 1 // the command ran and the answer is no, or something broke
	ExitUsage   = 2 // the command line makes no sense
	ExitPartial = 3 // the command ran to its end, and left out some of what it was given
)

// IO is where a command reads and writes.
type IO struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Command is one word of a program's command line.
type Command struct {
	Name    string
	Summary string // one line for the program's help
	// Run parses its own args with a flag.FlagSet from Flags and does the work. ErrUsage and flag errors exit with 2.
	Run func(ctx context.Context, args []string, io IO) error
	// UntilStopped says that being told to stop is how it ends well. Any other command has failed then: it is not at its end.
	UntilStopped bool
}

// ErrUsage says that the command line makes no sense. Wrap it with a line that says what to do instead.
var ErrUsage = errors.New("usage")

// ErrSilent ends a command with ExitFailure when it has already said why.
var ErrSilent = errors.New("failed")

// ErrPartial ends a command with ExitPartial when it has already said what it left out.
var ErrPartial = errors.New("some were left out")

var errStopped = errors.New("stopped before its end; run it again")

// Main runs the command that the process was called with and exits.
func Main(program, about string, commands ...Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Dispatch(ctx, program, about, os.Args[1:], IO{os.Stdin, os.Stdout, os.Stderr}, commands...)
	stop()
	os.Exit(code)
}

// Dispatch is Main without the process: it returns the exit code.
func Dispatch(ctx context.Context, program, about string, args []string, io IO, commands ...Command) int {
	commands = append(commands, versionCommand(program))
	if len(args) == 0 {
		help(io.Stderr, program, about, commands)
		return ExitUsage
	}
	switch args[0] {
	case "help", "-h", "--help", "-help":
		if len(args) == 1 {
			help(io.Stdout, program, about, commands)
			return ExitOK
		}
		args = append(slices.Clone(args[1:]), "--help")
	}
	for _, c := range commands {
		if c.Name == args[0] {
			err := c.Run(ctx, args[1:], io)
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				if c.UntilStopped {
					return ExitOK // told to stop before it had begun: that is no failure
				}
				err = errStopped
			}
			return exitCode(io.Stderr, program+" "+c.Name, err)
		}
	}
	fmt.Fprintf(io.Stderr, "%s: there is no command %q; see `%s help`\n", program, args[0], program)
	return ExitUsage
}

func exitCode(stderr io.Writer, name string, err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return ExitOK
	case errors.Is(err, ErrSilent):
		return ExitFailure
	case errors.Is(err, ErrPartial):
		return ExitPartial
	case errors.Is(err, ErrUsage):
		fmt.Fprintf(stderr, "%s: %v; see `%s --help`\n", name, err, name)
		return ExitUsage
	default:
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return ExitFailure
	}
}

func help(w io.Writer, program, about string, commands []Command) {
	fmt.Fprintf(w, "%s\n\nUsage:\n  %s COMMAND [flags]\n\nCommands:\n", about, program)
	widest := 0
	for _, c := range commands {
		widest = max(widest, len(c.Name))
	}
	for _, c := range commands {
		fmt.Fprintf(w, "  %-*s  %s\n", widest, c.Name, c.Summary)
	}
	fmt.Fprintf(w, "\n`%s COMMAND --help` or `%s help COMMAND` shows the flags of a command.\n", program, program)
}

// Flags makes a flag set whose help begins with usage, printed to stdout when it is asked for. Parse it with ParseFlags.
func Flags(name, usage string, io IO) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Stderr)
	fs.Usage = func() {
		var flags strings.Builder
		fs.SetOutput(&flags)
		fs.PrintDefaults()
		fmt.Fprintf(io.Stdout, "%s\n\nFlags:\n%s", usage, longFlag.ReplaceAllString(flags.String(), "  --$1"))
	}
	return fs
}

// longFlag is how package flag shows a flag of more than one letter. We show them with two dashes, as everywhere in the docs; both
// are understood.
var longFlag = regexp.MustCompile(`(?m)^  -([a-z][a-z-]+)`)

// ParseFlags parses args; what is left over must be between least and most in number.
func ParseFlags(fs *flag.FlagSet, args []string, least, most int) error {
	output, usage := fs.Output(), fs.Usage
	fs.SetOutput(io.Discard) // the caller prints the error once, in the house's form
	fs.Usage = func() {}     // and the help only when it was asked for
	err := fs.Parse(args)
	fs.SetOutput(output)
	fs.Usage = usage
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.Usage()
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUsage, err)
	case fs.NArg() < least || fs.NArg() > most:
		return fmt.Errorf("%w: got %d arguments, want %s", ErrUsage, fs.NArg(), counts(least, most))
	default:
		return nil
	}
}

func counts(least, most int) string {
	if least == most {
		return fmt.Sprint(least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// Build is what was built.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
}

// version is set with -ldflags "-X cloakroom.dev/libs/run.version=…" for releases.
var version = "dev"

// Version returns what was built.
func Version() Build {
	b := Build{Version: version}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Go = info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}

func versionCommand(program string) Command {
	return Command{
		Name: "version", Summary: "print the version",
		Run: func(_ context.Context, args []string, io IO) error {
			fs := Flags("version", "Prints the version.", io)
			output := fs.String("output", "text", "text or json")
			if err := ParseFlags(fs, args, 0, 0); err != nil {
				return err
			}
			switch *output {
			case "text":
			case "json":
				return json.NewEncoder(io.Stdout).Encode(Version())
			default:
				return fmt.Errorf("%w: --output is text or json", ErrUsage)
			}
			b := Version()
			_, err := fmt.Fprintf(io.Stdout, "%s %s %s\n", program, b.Version, b.Go)
			return err
		},
	}
}
