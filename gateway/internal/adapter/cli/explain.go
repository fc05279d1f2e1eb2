package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"text/tabwriter"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/run"
)

const explainUsage = `Usage: gateway explain --config DIR [flags] METHOD URL

Says what a gateway with this configuration would do with a request: the rule that matches, the candidates that did
not and why, the policies in force and where they stand, the keys its limits count by, and the decision. Tokens are not
verified; what depends on one is listed.

Exit code: 0 the request would be served, 1 it would be refused, 2 there is no answer.`

// headerFlag collects -H 'Name: value'.
type headerFlag http.Header

func (h headerFlag) String() string { return "" }

func (h headerFlag) Set(text string) error {
	name, value, ok := strings.Cut(text, ":")
	if name = strings.TrimSpace(name); !ok || name == "" {
		return errors.New("a header is written 'Name: value'")
	}
	http.Header(h).Add(name, strings.TrimSpace(value))
	return nil
}

func explainCommand(ownPaths []string) func(context.Context, []string, run.IO) error {
	return func(ctx context.Context, args []string, io run.IO) error {
		fs := run.Flags("explain", explainUsage, io)
		q, config, output, err := explainFlags(fs, args)
		if err != nil {
			return err
		}
		s, err := load(ctx, config, admit.New())
		if err != nil {
			return unusable(err)
		}
		for _, f := range s.ledger.Findings() {
			fmt.Fprintln(io.Stderr, f)
		}
		e := Explain(s.table, ownPaths, s.sources, q)
		if output == "json" {
			err = writeJSON(io.Stdout, e)
		} else {
			err = e.print(io.Stdout)
		}
		if err == nil && e.Decision == "refuse" {
			err = run.ErrSilent
		}
		return err
	}
}

func explainFlags(fs *flag.FlagSet, args []string) (q Question, config, output string, err error) {
	q.Header = http.Header{}
	fs.StringVar(&config, "config", "", "folder of resources")
	fs.Var(headerFlag(q.Header), "H", "a request header, 'Name: value'; may be repeated")
	client := fs.String("client", localhost.String(), "address of the client")
	fs.StringVar(&q.Caller.Subject, "subject", "", "user id, for limits that count by subject")
	fs.StringVar(&q.Caller.APIKeyID, "api-key-id", "", "API key id, for limits that count by API key")
	format := format(fs)
	rest, err := parse(fs, args, 2)
	switch {
	case err != nil:
		return q, "", "", err
	case config == "":
		return q, "", "", fmt.Errorf("%w: --config is needed", run.ErrUsage)
	}
	if q.Caller.Addr, err = netip.ParseAddr(*client); err != nil {
		return q, "", "", fmt.Errorf("%w: --client: %w", run.ErrUsage, err)
	}
	q.Method, q.URL = strings.ToUpper(rest[0]), rest[1]
	return q, config, *format, checkFormat(*format)
}

// Handler explains requests by the table that is being served, for the ops port:
// GET ?method=GET&url=/v1/files&header=Name:+value&client=192.0.2.1&subject=…&api_key_id=… answers the JSON of Explanation.
func Handler(table func() *routing.Table, ownPaths []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Query()
		q := Question{Method: strings.ToUpper(p.Get("method")), URL: p.Get("url"), Header: http.Header{}}
		q.Caller = routing.Caller{Addr: localhost, Subject: p.Get("subject"), APIKeyID: p.Get("api_key_id")}
		if q.Method == "" {
			q.Method = http.MethodGet
		}
		err := error(nil)
		for _, h := range p["header"] {
			err = errors.Join(err, headerFlag(q.Header).Set(h))
		}
		if client := p.Get("client"); client != "" {
			addr, bad := netip.ParseAddr(client)
			q.Caller.Addr, err = addr, errors.Join(err, bad)
		}
		t := table()
		switch {
		case q.URL == "":
			http.Error(w, "say which request: ?method=GET&url=/v1/files", http.StatusBadRequest)
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		case t == nil:
			http.Error(w, "no configuration is served yet", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = writeJSON(w, Explain(t, ownPaths, nil, q)) // a reader that went away needs no answer
		}
	})
}

// print is the explanation for people.
func (e Explanation) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	line := func(name string, values ...string) {
		fmt.Fprintln(w, strings.Join(append([]string{name}, values...), "\t"))
	}
	line("request", e.Request)
	for _, name := range e.Stripped {
		line("stripped", name+", which clients may not send")
	}
	if e.Match != "" {
		line("match", e.Match)
	}
	for _, f := range e.Rule {
		line(f.Name, f.Value)
	}
	if e.Upstream != "" {
		line("upstream path", e.Upstream)
	}
	for _, k := range e.Limits {
		line("counted", fmt.Sprintf("%s as %s, %s", k.Rule, k.Key, k.When))
	}
	for _, s := range e.Sources {
		line("from", strings.TrimSpace(fmt.Sprintf("%s generation %d %s", s.Resource, s.Generation, s.Place)))
	}
	for _, r := range e.Rejected {
		line("not", fmt.Sprintf("%s (%s): %s", r.Rule, r.Match, r.Why))
	}
	decision := e.Decision
	if e.Status != 0 {
		decision += fmt.Sprintf(" with %d %s", e.Status, e.Code)
	}
	line("decision", decision+": "+e.Why)
	for _, condition := range e.If {
		line("if", condition)
	}
	return w.Flush()
}
