package webhook

import (
	"context"
	"errors"
	"slices"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

const (
	// window is how many deliveries a worker has in memory, and how many untried ones it takes ahead.
	window = 500
	// dueAtATime leaves room for new events beside many that failed.
	dueAtATime = 100
	// storeRetry is when the store is asked again after a failure.
	storeRetry = time.Second
	// reportEvery is how often the meter hears where the endpoint stands.
	reportEvery = 5 * time.Second
	// recordTime bounds keeping an outcome when ctx has ended.
	recordTime = 5 * time.Second
)

// worker serves one endpoint. Its fields belong to the goroutine of run; attempts run beside it and land in done.
type worker struct {
	s        *Service
	e        Endpoint
	circuit  circuit
	queue    []Delivery
	held     map[int64]struct{} // in the queue or under way
	busy     map[files.OwnerID]struct{}
	flying   int
	done     chan landing
	state    State // as of the last look
	position int64 // may be ahead of the stored one, past events that are not asked for
	reported time.Time
}

// landing is an attempt that has ended.
type landing struct {
	d       Delivery
	outcome Outcome
	err     error // the store failed, or ctx ended: the delivery is as it was
}

func newWorker(s *Service, e Endpoint) *worker {
	return &worker{
		s: s, e: e, circuit: circuit{opts: &s.opts}, held: map[int64]struct{}{}, busy: map[files.OwnerID]struct{}{},
		done: make(chan landing, e.Concurrency),
	}
}

func (w *worker) run(ctx context.Context) {
	tick := time.NewTicker(w.s.opts.Look)
	defer tick.Stop()
	for {
		w.turn(ctx)
		select {
		case l := <-w.done:
			w.land(ctx, l)
		case <-tick.C:
		case <-ctx.Done():
			for ; w.flying > 0; w.flying-- {
				<-w.done
			}
			return
		}
	}
}

// turn does what can be done now.
func (w *worker) turn(ctx context.Context) {
	now := w.s.opts.Now()
	if now.Sub(w.reported).Abs() >= reportEvery {
		w.reported = now
		w.failed(ctx, w.report(ctx))
	}
	room := w.circuit.room(now, w.e.Concurrency)
	if room <= w.flying {
		return
	}
	if len(w.queue) < w.e.Concurrency {
		if err := w.fill(ctx); err != nil {
			w.failed(ctx, err)
			return
		}
	}
	if w.state.StoppedAt.IsZero() {
		w.launch(ctx, room)
	}
}

// failed is for a store that can't be asked: it is left alone for a moment.
func (w *worker) failed(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	w.s.log.WarnContext(ctx, "webhook could not look for deliveries; it is tried again", "webhook", w.e.Name, "error", err.Error())
	w.circuit.hold(w.s.opts.Now(), storeRetry)
}

// fill reads what is due, and takes new events when there is little.
func (w *worker) fill(ctx context.Context) error {
	fresh, err := w.load(ctx)
	if err != nil || !w.state.StoppedAt.IsZero() || fresh >= window {
		return err
	}
	took, err := w.take(ctx)
	if err != nil || took == 0 {
		return err
	}
	_, err = w.load(ctx)
	return err
}

// load brings due deliveries into the queue and returns how many untried ones there are, up to window.
func (w *worker) load(ctx context.Context) (fresh int, err error) {
	var found []Delivery
	err = w.s.store.Read(ctx, func(tx ReadTx) error {
		if w.state, err = tx.WebhookState(ctx, w.e.Name); err != nil {
			return err
		}
		due, err := tx.DueDeliveries(ctx, w.e.Name, w.s.now(), dueAtATime)
		if err != nil {
			return err
		}
		untried, err := tx.FreshDeliveries(ctx, w.e.Name, window)
		fresh, found = len(untried), slices.Concat(due, untried)
		return err
	})
	if err != nil {
		return 0, err
	}
	w.position = max(w.position, w.state.Position)
	if !w.state.StoppedAt.IsZero() {
		return fresh, nil
	}
	for _, d := range found {
		if _, has := w.held[d.Event.Seq]; !has {
			w.held[d.Event.Seq] = struct{}{}
			w.queue = append(w.queue, d)
		}
	}
	return fresh, nil
}

// launch begins attempts, as many as there is room for, in order, and for each person one at a time.
func (w *worker) launch(ctx context.Context, room int) {
	for i := 0; i < len(w.queue) && w.flying < room; {
		d := w.queue[i]
		if _, busy := w.busy[d.Event.Owner]; busy {
			i++
			continue
		}
		w.queue = slices.Delete(w.queue, i, i+1)
		w.busy[d.Event.Owner] = struct{}{}
		w.flying++
		go func() { w.done <- w.s.attempt(ctx, d) }()
	}
}

// land takes the end of an attempt in.
func (w *worker) land(ctx context.Context, l landing) {
	w.flying--
	delete(w.held, l.d.Event.Seq)
	delete(w.busy, l.d.Event.Owner)
	now := w.s.opts.Now()
	switch {
	case l.err != nil:
		w.failed(ctx, l.err)
	case l.outcome.Result == Delivered:
		w.circuit.succeeded()
	default:
		was := w.circuit.open()
		w.circuit.failed(now, l.outcome.RetryAfter)
		if w.circuit.open() && !was {
			w.s.log.WarnContext(ctx, "webhook fails again and again; it is tried now and then", "webhook", w.e.Name,
				"result", string(l.outcome.Result), "status", l.outcome.Status)
		}
		if l.outcome.Result == Gone {
			w.state.StoppedAt = w.s.now() // as the row says
		}
	}
	if w.circuit.open() || !w.state.StoppedAt.IsZero() {
		w.unload()
	}
}

// unload forgets the queue: what waits is in the store, and may be another when the pause is over.
func (w *worker) unload() {
	for _, d := range w.queue {
		delete(w.held, d.Event.Seq)
	}
	w.queue = nil
}

// attempt sends one delivery and keeps what became of it.
func (s *Service) attempt(ctx context.Context, d Delivery) landing {
	m, err := s.message(ctx, d)
	if err != nil {
		return landing{d: d, err: err}
	}
	began := s.opts.Now()
	out := s.sender.Send(ctx, d.Endpoint, m)
	if ctx.Err() != nil && out.Result != Delivered {
		return landing{d: d, err: ctx.Err()} // we gave it up, not the endpoint
	}
	s.opts.Meter.Attempted(d.Endpoint, out.Result, s.opts.Now().Sub(began))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	return landing{d, out, s.record(ctx, d, out)}
}

// record keeps the outcome of an attempt. When that fails the delivery is attempted again.
func (s *Service) record(ctx context.Context, d Delivery, out Outcome) error {
	switch out.Result {
	case Delivered:
		return s.store.Write(ctx, func(tx Tx) error { return tx.DeleteDelivery(ctx, d.Endpoint, d.Event.Seq) })
	case Unsigned: // nothing was sent, so no attempt was made
		s.log.ErrorContext(ctx, "webhook secret can't be read; nothing is sent", "webhook", d.Endpoint)
		return nil
	}
	d.Attempts++
	d.Result, d.Status = out.Result, out.Status
	switch {
	case out.Result == Gone:
		d.NextAt = time.Time{}
	case d.Attempts >= s.opts.MaxAttempts:
		d.ParkedAt = s.now()
	default:
		d.NextAt = s.now().Add(s.retryIn(d.Attempts, out.RetryAfter))
	}
	err := s.store.Write(ctx, func(tx Tx) error { return s.keep(ctx, tx, d) })
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return nil // the endpoint was forgotten meanwhile
	}
	if err == nil {
		s.tell(ctx, d)
	}
	return err
}

func (s *Service) keep(ctx context.Context, tx Tx, d Delivery) error {
	if err := tx.UpdateDelivery(ctx, d); err != nil || d.Result != Gone {
		return err
	}
	state, err := tx.WebhookState(ctx, d.Endpoint)
	if err != nil {
		return err
	}
	state.StoppedAt = s.now()
	return tx.SaveWebhookState(ctx, state)
}

// tell says what a person has to know of.
func (s *Service) tell(ctx context.Context, d Delivery) {
	switch {
	case d.Result == Gone:
		s.log.ErrorContext(ctx, "webhook answered 410 and was stopped; `files-svc webhook resume` starts it again", "webhook", d.Endpoint)
	case !d.ParkedAt.IsZero():
		s.opts.Meter.Parked(d.Endpoint)
		s.log.ErrorContext(ctx, "webhook delivery was given up; `files-svc webhook redeliver` tries again", "webhook", d.Endpoint,
			"delivery", d.ID, "sequence", d.Event.Seq, "attempts", d.Attempts, "result", string(d.Result), "status", d.Status)
	}
}
