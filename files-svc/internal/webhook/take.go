package webhook

import (
	"context"
	"slices"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

// take makes deliveries of the next events and moves the position, in one transaction. It returns how many it made.
func (w *worker) take(ctx context.Context) (made int, err error) {
	var events []files.Event
	var backlog Backlog
	var lost int64
	at := w.position
	err = w.s.store.Read(ctx, func(tx ReadTx) error {
		first, last, err := tx.EventRange(ctx)
		if err != nil {
			return err
		}
		if at, lost = w.position, 0; at < first-1 { // it was away longer than the outbox is kept
			at, lost = first-1, first-1-at
		} else if at > last { // the catalogue was restored to before it
			at = last
		}
		if events, err = tx.EventsAfter(ctx, at, window); err != nil || len(events) == 0 {
			return err
		}
		backlog, err = tx.Backlog(ctx, w.e.Name)
		return err
	})
	if err != nil {
		return 0, err
	}
	if at != w.position {
		w.moved(ctx, at, lost)
	}
	events, end := w.wanted(events, at, w.s.opts.MaxPending-int(backlog.Pending))
	if len(events) == 0 && end-w.state.Position < window && at >= w.state.Position {
		w.position = end // not worth a write: after a restart they are passed over again
		return 0, nil
	}
	if err := w.enqueue(ctx, events, end); err != nil {
		return 0, err
	}
	return len(events), nil
}

// moved says that the position is not where it was left.
func (w *worker) moved(ctx context.Context, at, lost int64) {
	if lost > 0 {
		w.s.opts.Meter.Lost(w.e.Name, lost)
	}
	w.s.log.ErrorContext(ctx, "webhook position is outside of what is kept; it goes on from the nearest event", "webhook", w.e.Name,
		"position", w.position, "nearest", at, "lost_at_most", lost)
	w.position = at
}

// wanted is what the endpoint asked for, at most room of them, and the position behind the last that was looked at.
func (w *worker) wanted(events []files.Event, at int64, room int) (found []files.Event, end int64) {
	end = at
	for _, e := range events {
		if len(w.e.Kinds) == 0 || slices.Contains(w.e.Kinds, e.Kind) {
			if room <= 0 {
				break
			}
			room--
			found = append(found, e)
		}
		end = e.Seq
	}
	return found, end
}

func (w *worker) enqueue(ctx context.Context, events []files.Event, end int64) error {
	err := w.s.store.Write(ctx, func(tx Tx) error {
		state, err := tx.WebhookState(ctx, w.e.Name)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := tx.InsertDelivery(ctx, Delivery{Endpoint: w.e.Name, ID: w.s.newID(), Event: e}); err != nil {
				return err
			}
		}
		state.Position = end
		return tx.SaveWebhookState(ctx, state)
	})
	if err == nil {
		w.position, w.state.Position = end, end
	}
	return err
}

// report tells the meter where the endpoint stands, and keeps what is given up bounded.
func (w *worker) report(ctx context.Context) error {
	var b Backlog
	var state State
	var last int64
	err := w.s.store.Read(ctx, func(tx ReadTx) (err error) {
		if state, err = tx.WebhookState(ctx, w.e.Name); err != nil {
			return err
		}
		if _, last, err = tx.EventRange(ctx); err != nil {
			return err
		}
		b, err = tx.Backlog(ctx, w.e.Name)
		return err
	})
	if err != nil {
		return err
	}
	behind := max(0, last-max(w.position, state.Position))
	w.s.opts.Meter.Stands(w.e.Name, b, behind, w.circuit.open(), !state.StoppedAt.IsZero())
	return w.tidy(ctx, b)
}

// tidy bounds what is parked, and brings retries back that a clock has put too far off.
func (w *worker) tidy(ctx context.Context, b Backlog) error {
	latest := w.s.now().Add(maxRetry)
	far := b.Latest.After(latest.Add(time.Minute))
	if b.Parked == 0 && !far {
		return nil
	}
	var trimmed int64
	err := w.s.store.Write(ctx, func(tx Tx) (err error) {
		if far {
			if err := tx.ClampDeliveries(ctx, w.e.Name, latest); err != nil {
				return err
			}
		}
		trimmed, err = tx.TrimParked(ctx, w.e.Name, w.s.now().Add(-keepParked), maxParked)
		return err
	})
	if trimmed > 0 {
		w.s.opts.Meter.Lost(w.e.Name, trimmed)
	}
	return err
}
