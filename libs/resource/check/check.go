// Package check is the `check` command of every service: it judges configuration without starting anything, for an
// editor, a pre-commit hook or CI, with the file, line and field of each problem.
package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/resource/dir"
	"cloakroom.dev/libs/resource/ledger"
	"cloakroom.dev/libs/run"
)

// Rules finds what no schema can: references to objects that aren't there, objects a service couldn't compile. Kind, Name,
// Field and Message of a finding are needed; check adds the file and the line.
type Rules func(*resource.Snapshot) []resource.Finding

const usage = `Judges configuration as the service and the API server do, and starts nothing. The path is a folder, a file, or - for
standard input. Each problem is a line: file, line, object, field and what is wrong.

Usage:
  check [--output text|json] DIR|FILE|-

Exit code: 0 nothing is wrong, 1 something is, 2 called wrongly.`

// Command returns `check [--output text|json] DIR|FILE|-`. Each service passes its own rules. It exits with 0 when nothing
// is wrong, 1 when something is, 2 when it was called wrongly.
func Command(rules ...Rules) run.Command {
	return run.Command{
		Name:    "check",
		Summary: "judge configuration without starting",
		Run: func(ctx context.Context, args []string, io run.IO) error {
			flags := run.Flags("check", usage, io)
			output := flags.String("output", "text", "text or json")
			if err := run.ParseFlags(flags, args, 1, 1); err != nil {
				return err
			}
			if *output != "text" && *output != "json" {
				return fmt.Errorf("%w: --output is text or json", run.ErrUsage)
			}
			look, err := read(flags.Arg(0), io.Stdin)
			if err != nil {
				return fmt.Errorf("read configuration: %w", err)
			}
			result, err := Judge(ctx, look, rules...)
			if err != nil {
				return err
			}
			return result.print(io, *output)
		},
	}
}

func read(path string, stdin io.Reader) (ledger.Look, error) {
	if path == "-" {
		return dir.Parse("stdin", stdin)
	}
	return dir.Read(path)
}

// Result is what check prints.
type Result struct {
	Resources int                `json:"resources"` // accepted
	Snapshot  string             `json:"snapshot"`
	Findings  []resource.Finding `json:"findings"`
}

// Judge gives every object of a look its verdict, and applies the rules to those that are accepted.
func Judge(ctx context.Context, look ledger.Look, rules ...Rules) (Result, error) {
	if look.Empty() {
		return Result{}, errors.New("no resource found: *.yaml, *.yml or *.json files are looked for")
	}
	l := ledger.New(admit.New(), time.Now)
	l.Apply(ctx, look)
	accepted, _ := l.Counts()
	result := Result{Resources: accepted, Snapshot: l.Snapshot().Digest, Findings: l.Findings()}
	for _, rule := range rules {
		for _, f := range rule(l.Snapshot()) {
			result.Findings = append(result.Findings, locate(look, f))
		}
	}
	return result, nil
}

func locate(look ledger.Look, f resource.Finding) resource.Finding {
	for _, d := range look.Documents {
		if d.Kind == f.Kind && d.Name == f.Name {
			return d.Find(f.Field, f.Message)
		}
	}
	return f
}

func (r Result) print(to run.IO, output string) error {
	if output == "json" {
		if r.Findings == nil {
			r.Findings = []resource.Finding{}
		}
		encoder := json.NewEncoder(to.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(r); err != nil {
			return err
		}
	} else {
		for _, f := range r.Findings {
			fmt.Fprintln(to.Stdout, f)
		}
		fmt.Fprintf(to.Stderr, "%d resources accepted, %d problems\n", r.Resources, len(r.Findings))
	}
	if len(r.Findings) > 0 {
		return run.ErrSilent
	}
	return nil
}
