// Package console speaks the command line for the identity core: people, keys and the audit trail, on the service's own
// machine, whether the service runs or not.
//
// A verb parses its flags, calls the core as the operator, and prints. It opens the same store with the same secrets as
// the service, so every rule holds and every change has its row in the audit trail; a service that runs beside it
// notices what was revoked within a second. Results go to stdout, as text for people or as one JSON object a line for
// programs; everything else goes to stderr. Exit codes are those of package run: 0, 1 when the answer is no, 2 for a
// command line that makes no sense, 3 when an import has left lines out.
package console

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/run"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Open opens the core that resources describe, from the places that serve reads them from, and says how to close it. Relative paths in the resources
// begin in base; empty is the working directory.
type Open func(ctx context.Context, config []string, base string, to run.IO) (core *identity.Service, closeStore func() error, err error)

// Commands are the words that need a core.
func Commands(program string, open Open) []run.Command {
	c := &console{program: program, open: open}
	return []run.Command{
		c.command("user", "people: create, list, block, unblock, delete, export, import, reset-factors", userVerbs),
		c.command("keys", "signing keys: list, rotate, kill", keyVerbs),
		c.command("api-key", "keys for programs: create, list, revoke", apiKeyVerbs),
		c.command("audit", "the audit trail: verify, export", auditVerbs),
	}
}

type console struct {
	program string
	open    Open
}

// verb is the second word of a command.
type verb struct {
	name     string
	operands string // as in the usage line; each is one argument and is needed
	summary  string
	details  string                 // what --help says besides: a few sentences and an example; may be empty
	flags    func(fs *flag.FlagSet) // may be nil
	do       func(ctx context.Context, c *call) error
}

// call is one run of a verb.
type call struct {
	core     *identity.Service
	operands []string
	to       run.IO
	print    printer
	hint     func(verb string) string // a command line to try next
}

// find returns the person that somebody typed.
func (c *call) find(ctx context.Context, who string) (identity.User, error) {
	u, err := c.core.FindUser(ctx, nobody, who)
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return u, fmt.Errorf("there is no user %q; `%s` shows who there is", who, c.hint("user list"))
	}
	return u, err
}

// nobody is the caller: what the operator may do hangs on the context, not on a principal.
var nobody principal.Principal

func (c *console) command(name, summary string, verbs func() []verb) run.Command {
	return run.Command{Name: name, Summary: summary, Run: func(ctx context.Context, args []string, to run.IO) error {
		all := verbs()
		if len(args) > 0 && slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
			return c.help(name, all, to)
		}
		if len(args) == 0 || strings.HasPrefix(args[0], "-") {
			return fmt.Errorf("%w: say what to do: %s", run.ErrUsage, strings.Join(names(all), ", "))
		}
		for _, v := range all {
			if v.name == args[0] {
				return c.run(ctx, name, v, args[1:], to)
			}
		}
		return fmt.Errorf("%w: there is no %q; there are %s", run.ErrUsage, args[0], strings.Join(names(all), ", "))
	}}
}

func names(verbs []verb) (out []string) {
	for _, v := range verbs {
		out = append(out, v.name)
	}
	return out
}

func (c *console) help(name string, verbs []verb, to run.IO) error {
	for _, v := range verbs {
		fmt.Fprintf(to.Stdout, "  %s %s %s\n      %s\n", c.program, name, strings.TrimSpace(v.name+" "+v.operands), v.summary)
	}
	_, err := fmt.Fprintf(to.Stdout, "\nEach takes --config DIR, --base DIR and --output text|json; --help after one shows its flags.\n")
	return err
}

func (c *console) run(ctx context.Context, command string, v verb, args []string, to run.IO) (err error) {
	fs := run.Flags(command+" "+v.name, c.usage(command, v), to)
	var config run.Places
	fs.Var(&config, "config", "resources, as for serve, and as often")
	var base run.Base
	base.Flag(fs)
	output := fs.String("output", "text", "text, or json: one object a line")
	if v.flags != nil {
		v.flags(fs)
	}
	want := len(strings.Fields(v.operands))
	if err := run.ParseFlags(fs, flagsFirst(fs, args), want, want); err != nil {
		return err
	}
	newPrinter, known := printers[*output]
	switch {
	case len(config) == 0:
		return fmt.Errorf("%w: --config DIR is needed", run.ErrUsage)
	case !known:
		return fmt.Errorf("%w: --output is text or json", run.ErrUsage)
	}
	core, closeStore, err := c.open(ctx, config, string(base), to)
	if err != nil {
		return base.Lost(err)
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	hint := func(verb string) string {
		line := fmt.Sprintf("%s %s --config %s", c.program, verb, strings.Join(config, " --config "))
		if base != "" {
			line += " --base " + string(base)
		}
		return line
	}
	return explain(v.do(identity.AsOperator(ctx), &call{core: core, operands: fs.Args(), to: to, print: newPrinter(to.Stdout), hint: hint}), hint)
}

// usage is what the help of a verb begins with.
func (c *console) usage(command string, v verb) string {
	text := fmt.Sprintf("%s\n\nUsage:\n  %s", v.summary, strings.Join(strings.Fields(c.program+" "+command+" "+v.name+" --config DIR [flags] "+v.operands), " "))
	if v.details != "" {
		text += "\n\n" + strings.TrimSpace(v.details)
	}
	return text
}

// flagsFirst lets flags stand after operands too, as people write them.
func flagsFirst(fs *flag.FlagSet, args []string) []string {
	var flags, operands []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			operands = append(operands, args[i+1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			operands = append(operands, a)
			continue
		}
		flags = append(flags, a)
		f := fs.Lookup(strings.TrimLeft(a, "-"))
		if f == nil {
			continue // with its value after =, or unknown, which Parse will say
		}
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); (!ok || !b.IsBoolFlag()) && i+1 < len(args) {
			i++
			flags = append(flags, args[i])
		}
	}
	return append(append(flags, "--"), operands...)
}

// explain says what was refused in words for a terminal, and what to do next.
func explain(err error, hint func(string) string) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	switch f.Kind {
	case fault.Invalid:
		lines := []string{f.Detail}
		for _, bad := range f.Fields {
			lines = append(lines, "  "+bad.Field+": "+bad.Detail)
		}
		return errors.New(strings.Join(lines, "\n"))
	case fault.UserExists:
		return fmt.Errorf("%s; find it with `%s --q TEXT`", f.Detail, hint("user list"))
	case fault.Unavailable, fault.Overloaded:
		return fmt.Errorf("%w; try again in a moment", err)
	case fault.StorageFull:
		return fmt.Errorf("%w; make room on the disk and try again", err)
	default:
		return err
	}
}

// texts is a flag that may be given more than once.
type texts struct{ values *[]string }

func (t texts) String() string { return "" }

// Set adds a value.
func (t texts) Set(s string) error {
	*t.values = append(*t.values, s)
	return nil
}
