package filessvc

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/hookhttp"
	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/run"
)

// listedDeliveries is how many deliveries of an endpoint a list shows.
const listedDeliveries = 1000

const webhookUsage = "webhook list|redeliver|resume --config DIR …, or webhook new-secret"

const webhookHelp = `Shows what webhooks were not told, and tells it again. Works while the service runs.

  files-svc webhook list --config DIR [--endpoint NAME] [--output json]
  files-svc webhook redeliver --config DIR --endpoint NAME --all|--sequence N
  files-svc webhook resume --config DIR --endpoint NAME
  files-svc webhook new-secret

--help after one shows its flags.
`

// webhookCommand is an operator's hand on the webhooks. It works while the service runs.
func webhookCommand(p program) run.Command {
	return run.Command{
		Name: "webhook", Summary: "see and retry what webhooks were not told: " + webhookUsage,
		Run: func(ctx context.Context, args []string, to run.IO) error {
			if len(args) == 0 {
				return fmt.Errorf("%w: say what to do: %s", run.ErrUsage, webhookUsage)
			}
			c := hookCommand{program: p}
			switch args[0] {
			case "new-secret":
				return newSecret(args[1:], to)
			case "list":
				return c.list(ctx, run.Flags("webhook list", "Shows the webhooks, and what waits or is parked for each.", to), args[1:], to)
			case "redeliver":
				return c.redeliver(ctx, run.Flags("webhook redeliver", "Tries parked deliveries again.", to), args[1:], to)
			case "resume":
				return c.resume(ctx, run.Flags("webhook resume", "Sends again to a webhook that a 410 has stopped.", to), args[1:], to)
			case "help", "-h", "-help", "--help":
				_, err := fmt.Fprint(to.Stdout, webhookHelp)
				return err
			default:
				return fmt.Errorf("%w: there is no %q: %s", run.ErrUsage, args[0], webhookUsage)
			}
		},
	}
}

func newSecret(args []string, to run.IO) error {
	if err := run.ParseFlags(run.Flags("webhook new-secret", "Prints a new secret for signatures.", to), args, 0, 0); err != nil {
		return err
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	_, err := fmt.Fprintln(to.Stdout, hookhttp.NewSecret(random[:]))
	return err
}

type hookCommand struct {
	place
	program  program
	endpoint string
	output   string
	sequence int64
	all      bool
}

// open parses the flags and opens a database that must be there already.
func (c *hookCommand) open(ctx context.Context, fs *flag.FlagSet, args []string, to run.IO) (*webhook.Manager, func(), error) {
	c.flags(fs)
	if err := run.ParseFlags(fs, args, 0, 0); err != nil {
		return nil, nil, err
	}
	if len(c.config) == 0 {
		return nil, nil, fmt.Errorf("%w: --config DIR is needed", run.ErrUsage)
	}
	cfg, deps, err := c.load(ctx, c.program, to)
	if err != nil {
		return nil, nil, err
	}
	rows, err := openCatalogue(ctx, cfg, deps, toLook)
	if err != nil {
		return nil, nil, c.base.Lost(err)
	}
	return webhook.NewManager(rows.hooks), func() { _ = rows.shut() }, nil
}

// deliveryJSON is a delivery as scripts read it. Names are stable.
type deliveryJSON struct {
	Endpoint string     `json:"endpoint"`
	ID       string     `json:"id"`
	Sequence int64      `json:"sequence"`
	Type     string     `json:"type"`
	OwnerID  string     `json:"owner_id"`
	FileID   string     `json:"file_id,omitempty"`
	At       time.Time  `json:"at"`
	Attempts int        `json:"attempts"`
	Result   string     `json:"result,omitempty"`
	Status   int        `json:"status,omitempty"`
	NextAt   *time.Time `json:"next_at,omitempty"`
	ParkedAt *time.Time `json:"parked_at,omitempty"`
}

func deliveryOf(d webhook.Delivery) deliveryJSON {
	when := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return deliveryJSON{
		Endpoint: d.Endpoint, ID: d.ID, Sequence: d.Event.Seq, Type: string(d.Event.Kind), OwnerID: string(d.Event.Owner),
		FileID: string(d.Event.File), At: d.Event.At, Attempts: d.Attempts, Result: string(d.Result), Status: d.Status,
		NextAt: when(d.NextAt), ParkedAt: when(d.ParkedAt),
	}
}

func (c hookCommand) list(ctx context.Context, fs *flag.FlagSet, args []string, to run.IO) error {
	fs.StringVar(&c.endpoint, "endpoint", "", "only this one")
	fs.StringVar(&c.output, "output", "text", "text, or json: one delivery a line")
	m, shut, err := c.open(ctx, fs, args, to)
	if err != nil {
		return err
	}
	defer shut()
	if c.output != "text" && c.output != "json" {
		return fmt.Errorf("%w: --output is text or json", run.ErrUsage)
	}
	all, err := m.Standings(ctx)
	if err != nil {
		return err
	}
	if c.endpoint != "" {
		s, err := c.one(all)
		if err != nil {
			return err
		}
		all = []webhook.Standing{s}
	}
	for _, s := range all {
		if err := c.show(ctx, m, s, to.Stdout); err != nil {
			return err
		}
	}
	return nil
}

// one finds the endpoint that the command line names. A name that nobody knows must not look like a webhook that misses nothing.
func (c hookCommand) one(all []webhook.Standing) (webhook.Standing, error) {
	names := make([]string, len(all))
	for i, s := range all {
		if s.Endpoint == c.endpoint {
			return s, nil
		}
		names[i] = s.Endpoint
	}
	known := cmp.Or(strings.Join(names, ", "), "none")
	return webhook.Standing{}, fmt.Errorf("there is no webhook %q; the service has started with: %s", c.endpoint, known)
}

// known refuses an endpoint that nobody knows.
func (c hookCommand) known(ctx context.Context, m *webhook.Manager) error {
	all, err := m.Standings(ctx)
	if err == nil {
		_, err = c.one(all)
	}
	return err
}

func (c hookCommand) show(ctx context.Context, m *webhook.Manager, s webhook.Standing, to io.Writer) error {
	parked, err := m.Deliveries(ctx, s.Endpoint, true, listedDeliveries)
	if err != nil {
		return err
	}
	waiting, err := m.Deliveries(ctx, s.Endpoint, false, listedDeliveries)
	if err != nil {
		return err
	}
	if c.output == "text" {
		stopped := ""
		if !s.StoppedAt.IsZero() {
			stopped = ", stopped by its 410 at " + s.StoppedAt.Format(time.RFC3339)
		}
		if _, err := fmt.Fprintf(to, "%s: %d pending, %d parked, %d events behind%s\n", s.Endpoint, s.Pending, s.Parked, s.Behind, stopped); err != nil {
			return err
		}
	}
	lines := json.NewEncoder(to)
	for _, d := range append(parked, waiting...) {
		j := deliveryOf(d)
		if c.output == "json" {
			err = lines.Encode(j)
		} else {
			state := "pending"
			if j.ParkedAt != nil {
				state = "parked"
			}
			_, err = fmt.Fprintf(to, "  %-7s %d %s %s attempts=%d last=%s/%d\n", state, j.Sequence, j.Type, j.ID, j.Attempts, j.Result, j.Status)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c hookCommand) redeliver(ctx context.Context, fs *flag.FlagSet, args []string, to run.IO) error {
	fs.StringVar(&c.endpoint, "endpoint", "", "the webhook")
	fs.Int64Var(&c.sequence, "sequence", 0, "of the delivery, as list shows it")
	fs.BoolVar(&c.all, "all", false, "all that are parked")
	m, shut, err := c.open(ctx, fs, args, to)
	if err != nil {
		return err
	}
	defer shut()
	if c.endpoint == "" || c.all == (c.sequence > 0) {
		return fmt.Errorf("%w: --endpoint NAME and one of --sequence N, --all are needed", run.ErrUsage)
	}
	if err := c.known(ctx, m); err != nil {
		return err
	}
	n, err := m.Redeliver(ctx, c.endpoint, c.sequence)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to.Stdout, "%d deliveries are tried again\n", n)
	return err
}

func (c hookCommand) resume(ctx context.Context, fs *flag.FlagSet, args []string, to run.IO) error {
	fs.StringVar(&c.endpoint, "endpoint", "", "the webhook")
	m, shut, err := c.open(ctx, fs, args, to)
	if err != nil {
		return err
	}
	defer shut()
	if c.endpoint == "" {
		return fmt.Errorf("%w: --endpoint NAME is needed", run.ErrUsage)
	}
	if err := c.known(ctx, m); err != nil {
		return err
	}
	return m.Resume(ctx, c.endpoint)
}
