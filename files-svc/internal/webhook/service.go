package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"cloakroom.dev/libs/fault"
)

const (
	firstRetry = 5 * time.Second // after the first failure; each later one triples it
	maxRetry   = 6 * time.Hour

	maxParked  = 10_000 // of an endpoint
	keepParked = 30 * 24 * time.Hour
)

// Options is what New can be told; the zero value works.
type Options struct {
	Meter       Meter            // nil: nobody listens
	Now         func() time.Time // nil: time.Now
	Jitter      func() float64   // from 0 up to 1; nil: random
	Look        time.Duration    // how often the outbox is looked at; default 250 ms
	MaxAttempts int              // then a delivery is parked; default 15, which takes about 40 hours
	MaxPending  int              // deliveries an endpoint may have waiting; what is beyond waits in the outbox; default 10000
	Tolerate    int              // failures in a row before the circuit opens; default 5
}

func (o Options) withDefaults() Options {
	if o.Meter == nil {
		o.Meter = deaf{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	orElse(&o.Look, 250*time.Millisecond)
	orElse(&o.MaxAttempts, 15)
	orElse(&o.MaxPending, 10_000)
	orElse(&o.Tolerate, 5)
	return o
}

func orElse[T int | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

// defaultConcurrency is how many deliveries to one endpoint are under way at once.
const defaultConcurrency = 4

// Service is the sending side of all endpoints. At most one process on a store may Run it.
type Service struct {
	store     Store
	sender    Sender
	endpoints []Endpoint
	newID     func() string
	log       *slog.Logger
	opts      Options
}

// New makes the service. newID makes ids of messages. It starts nothing: Register and Run do.
func New(store Store, sender Sender, endpoints []Endpoint, newID func() string, log *slog.Logger, opts Options) (*Service, error) {
	if store == nil || sender == nil || newID == nil || log == nil {
		return nil, errors.New("webhook: a required part is missing")
	}
	endpoints = slices.Clone(endpoints)
	for i := range endpoints {
		orElse(&endpoints[i].Concurrency, defaultConcurrency)
	}
	return &Service{store, sender, endpoints, newID, log, opts.withDefaults()}, nil
}

// Register makes the endpoints known, durably: a new one hears of what happens from now on. One that is not asked for any
// more is forgotten with what it has not been sent. Call it before anything happens that must be heard of.
func (s *Service) Register(ctx context.Context) error {
	var known []State
	if err := s.store.Read(ctx, func(tx ReadTx) (err error) {
		known, err = tx.WebhookStates(ctx)
		return err
	}); err != nil {
		return fmt.Errorf("list webhooks: %w", err)
	}
	for _, state := range known {
		if !slices.ContainsFunc(s.endpoints, func(e Endpoint) bool { return e.Name == state.Endpoint }) {
			if err := s.forget(ctx, state.Endpoint); err != nil {
				return err
			}
		}
	}
	for _, e := range s.endpoints {
		if slices.ContainsFunc(known, func(st State) bool { return st.Endpoint == e.Name }) {
			continue
		}
		err := s.store.Write(ctx, func(tx Tx) error {
			_, last, err := tx.EventRange(ctx)
			if err != nil {
				return err
			}
			return tx.SaveWebhookState(ctx, State{Endpoint: e.Name, Position: last})
		})
		if err != nil {
			return fmt.Errorf("register webhook: %w", err)
		}
	}
	return nil
}

func (s *Service) forget(ctx context.Context, endpoint string) error {
	var b Backlog
	err := s.store.Write(ctx, func(tx Tx) (err error) {
		if b, err = tx.Backlog(ctx, endpoint); err != nil {
			return err
		}
		return tx.DeleteWebhook(ctx, endpoint)
	})
	if err != nil {
		return fmt.Errorf("forget webhook: %w", err)
	}
	s.log.WarnContext(ctx, "webhook is not configured any more and was forgotten", "webhook", endpoint, "pending", b.Pending, "parked", b.Parked)
	return nil
}

// Run sends until ctx ends; attempts under way are given up then, and made again after the next start.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, e := range s.endpoints {
		group.Go(func() error {
			newWorker(s, e).run(ctx)
			return nil
		})
	}
	return group.Wait()
}

// now is the time as rows keep it.
func (s *Service) now() time.Time { return s.opts.Now().UTC().Truncate(time.Microsecond) }

// retryIn is how long a delivery waits after its n-th failure.
func (s *Service) retryIn(attempts int, wanted time.Duration) time.Duration {
	wait := firstRetry
	for range attempts - 1 {
		if wait *= 3; wait >= maxRetry {
			break
		}
	}
	wait = min(wait, maxRetry)
	wait = wait/2 + time.Duration(s.opts.Jitter()*float64(wait/2))
	return max(wait, min(wanted, maxRetry))
}

// message looks up what an event is about. A person who is being erased is an id and nothing else.
func (s *Service) message(ctx context.Context, d Delivery) (Message, error) {
	m := Message{ID: d.ID, Event: d.Event}
	err := s.store.Read(ctx, func(tx ReadTx) error {
		m.File = nil
		o, err := tx.Owner(ctx, d.Event.Owner)
		if err != nil || !o.ErasedAt.IsZero() || d.Event.File == "" {
			return err
		}
		f, err := tx.File(ctx, d.Event.File)
		switch {
		case errors.Is(err, fault.Of(fault.NotFound)):
			return nil
		case err != nil:
			return err
		}
		m.File = &f
		return nil
	})
	return m, err
}

type deaf struct{}

func (deaf) Attempted(string, Result, time.Duration)   {}
func (deaf) Stands(string, Backlog, int64, bool, bool) {}
func (deaf) Parked(string)                             {}
func (deaf) Lost(string, int64)                        {}
