// Package cli is the part of the gateway's command line that starts nothing: what a configuration means, and whether one is in force.
//
//	check    judge configuration: schemas, references, conflicts (package resource/check with the gateway's rules)
//	explain  what the gateway would do with one request, and why
//	diff     what replacing the configuration would change
//	probe    whether an installation answers as it must (the one that reads no configuration)
//
// The others read folders the way a running gateway does, by the same ledger and the same routing.Compile, so what they
// say is what would happen. Each prints for people, or JSON with --output json, and answers scripts by its exit code.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/resource/check"
	"cloakroom.dev/libs/resource/dir"
	"cloakroom.dev/libs/resource/ledger"
	"cloakroom.dev/libs/run"
)

// Commands returns check, explain, diff and probe. ownPaths are those the gateway answers itself on its public listener.
func Commands(ownPaths []string) []run.Command {
	return []run.Command{
		check.Command(routing.Review, oneConfig),
		{Name: "explain", Summary: "what would happen to a request: explain --config DIR [-H 'Name: value'] METHOD URL", Run: explainCommand(ownPaths)},
		{Name: "diff", Summary: "what a changed configuration would do: diff --config DIR CHANGED_DIR", Run: diffCommand},
		{Name: "probe", Summary: "ask an installation whether it is well: probe [--ready URL] BASE", Run: probeCommand},
	}
}

// oneConfig finds a second GatewayConfig, with which no gateway starts. None at all is fine: a folder may hold a part.
func oneConfig(s *resource.Snapshot) []resource.Finding {
	var all []resource.Finding
	for i, config := range resource.All[*v1alpha1.GatewayConfig](s) {
		if i > 0 {
			all = append(all, resource.Finding{Kind: v1alpha1.KindGatewayConfig, Name: config.Name, Field: "metadata.name",
				Message: "there is another GatewayConfig, and a gateway takes exactly one"})
		}
	}
	return all
}

// state is a configuration as a gateway would have it.
type state struct {
	ledger  *ledger.Ledger
	look    ledger.Look
	table   *routing.Table
	sources map[string]string // file:line by Kind/name
}

// load reads a folder as a gateway does at its start. An admitter is dear to fill, so it is shared.
func load(ctx context.Context, folder string, schemas *admit.Admitter) (*state, error) {
	s := &state{ledger: ledger.New(schemas, time.Now)}
	return s, s.apply(ctx, folder)
}

// apply reads a folder into the state as a running gateway does when its folder changes.
func (s *state) apply(ctx context.Context, folder string) error {
	look, err := dir.Read(folder)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if look.Empty() {
		return fmt.Errorf("no resource in %s: *.yaml, *.yml or *.json files are looked for", folder)
	}
	s.ledger.Apply(ctx, look)
	s.look, s.sources = look, map[string]string{}
	for _, d := range look.Documents {
		s.sources[d.ID()] = fmt.Sprintf("%s:%d", d.File, d.Line)
	}
	s.table, _ = routing.Compile(bootOf(s.ledger.Snapshot()), s.ledger.Snapshot(), s.table)
	return nil
}

// bootOf returns the gateway's own settings, or those of a gateway without any.
func bootOf(s *resource.Snapshot) v1alpha1.GatewayConfigSpec {
	config, err := resource.One[*v1alpha1.GatewayConfig](s)
	if err != nil {
		return v1alpha1.GatewayConfigSpec{}
	}
	return config.Spec
}

// parse parses flags before, between and after the arguments, since people put them anywhere, and wants that many
// arguments.
func parse(fs *flag.FlagSet, args []string, want int) ([]string, error) {
	var rest []string
	for {
		if err := run.ParseFlags(fs, args, 0, len(args)); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			break
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
	if len(rest) != want {
		return nil, fmt.Errorf("%w: got %d arguments, want %d", run.ErrUsage, len(rest), want)
	}
	return rest, nil
}

// format is the --output flag.
func format(fs *flag.FlagSet) *string { return fs.String("output", "text", "text or json") }

func checkFormat(output string) error {
	if !slices.Contains([]string{"text", "json"}, output) {
		return fmt.Errorf("%w: --output is text or json", run.ErrUsage)
	}
	return nil
}

// unusable marks a failure to get as far as an answer, which must not look like the answer no: exit code 2.
func unusable(err error) error {
	if err == nil || errors.Is(err, flag.ErrHelp) || errors.Is(err, run.ErrUsage) {
		return err
	}
	return fmt.Errorf("%w: %w", run.ErrUsage, err)
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
