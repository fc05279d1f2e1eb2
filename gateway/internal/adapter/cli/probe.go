package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"cloakroom.dev/libs/run"
)

const probeUsage = `Usage: gateway probe [flags] BASE

Asks the gateway at BASE what a new installation must answer: that it is ready, public keys that a token can be verified with, and 401 as a
problem document for a request without a token. It goes on asking until all is well or its patience ends.

Exit code: 0 all is well, 1 something is not, 2 the command line makes no sense.`

const (
	probePause = 500 * time.Millisecond
	// probeAnswer bounds one answer: it is shorter than any patience that leaves room for a second try.
	probeAnswer    = 5 * time.Second
	probeBodyBytes = 1 << 20
)

// probeFlags are what probe is told.
type probeFlags struct {
	base     *url.URL
	ready    []*url.URL
	host     string
	keys     string
	refused  string
	patience time.Duration
}

// probeCommand is for whoever has no other client: images hold one program each.
func probeCommand(ctx context.Context, args []string, io run.IO) error {
	var f probeFlags
	fs := run.Flags("probe", probeUsage, io)
	fs.Func("ready", "`URL` of an ops port: each address of its name is asked for /readyz; may be given more than once", func(text string) error {
		u, err := parseBase(text)
		f.ready = append(f.ready, u)
		return err
	})
	fs.StringVar(&f.host, "host", "", "`name` to ask the gateway by, where Routes are for certain hosts")
	fs.StringVar(&f.keys, "keys", "/.well-known/jwks.json", "`path` of the public keys; empty doesn't ask for them")
	fs.StringVar(&f.refused, "refused", "/v1/users/me", "`path` that wants a token; empty doesn't try it without one")
	fs.DurationVar(&f.patience, "patience", time.Minute, "how long to go on asking")
	rest, err := parse(fs, args, 1)
	if err != nil {
		return err
	}
	if f.base, err = parseBase(rest[0]); err != nil {
		return fmt.Errorf("%w: BASE %w", run.ErrUsage, err)
	}
	return f.run(ctx, io.Stdout)
}

func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		err = errors.New("is no http:// or https:// URL")
	}
	return u, err
}

// question is one thing that must be so.
type question struct {
	what string
	ask  func(ctx context.Context) error
}

// run asks one question after the other, each until it is answered well. The patience is for all of them together.
func (f probeFlags) run(ctx context.Context, out io.Writer) error {
	began := time.Now()
	patience, cancel := context.WithTimeout(ctx, f.patience)
	defer cancel()
	for _, q := range f.questions() {
		tries := 0
		for {
			tries++
			trying, done := context.WithTimeout(ctx, probeAnswer)
			err := q.ask(trying)
			done()
			if err == nil {
				break
			}
			select {
			case <-patience.Done():
				return fmt.Errorf("%s: %w (tried %d times in %v)", q.what, err, tries, time.Since(began).Round(time.Millisecond))
			case <-time.After(probePause):
			}
		}
		if _, err := fmt.Fprintf(out, "ok  %s\n", q.what); err != nil {
			return err
		}
	}
	return nil
}

func (f probeFlags) questions() []question {
	client := newProbeClient(nil)
	gateway := func(path string) asked { return asked{client, f.base.JoinPath(path).String(), f.host} }
	all := []question{{"the gateway is ready", gateway("/readyz").ready}}
	for _, u := range f.ready {
		all = append(all, question{"every address of " + u.Host + " is ready", func(ctx context.Context) error { return everyReady(ctx, u) }})
	}
	if f.keys != "" {
		all = append(all, question{"public keys are served", gateway(f.keys).servesKeys})
	}
	if f.refused != "" {
		all = append(all, question{"a request without a token is refused", gateway(f.refused).refuses})
	}
	return all
}

// everyReady asks all that a name stands for, where a plain request would reach one of them.
func everyReady(ctx context.Context, u *url.URL) error {
	addresses, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
	if err != nil {
		return err
	}
	for _, address := range addresses {
		client := newProbeClient(func(ctx context.Context, network, to string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(to)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(address, port))
		})
		if err := (asked{client, u.JoinPath("/readyz").String(), ""}).ready(ctx); err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
	}
	return nil
}

// newProbeClient makes a client that goes where it is told and nowhere else: through no proxy, and after no redirect.
func newProbeClient(dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
