package webhook

import (
	"context"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
)

// Standing is an endpoint as an operator sees it.
type Standing struct {
	State
	Backlog
	Behind int64 // events of the outbox it has not looked at
}

// Manager is an operator's hand on a store; a service may run on it meanwhile and hears of changes within a second.
type Manager struct{ store Store }

// NewManager makes a manager.
func NewManager(store Store) *Manager { return &Manager{store} }

// Standings lists all endpoints.
func (m *Manager) Standings(ctx context.Context) (all []Standing, err error) {
	err = m.store.Read(ctx, func(tx ReadTx) error {
		all = nil
		states, err := tx.WebhookStates(ctx)
		if err != nil {
			return err
		}
		_, last, err := tx.EventRange(ctx)
		if err != nil {
			return err
		}
		for _, st := range states {
			b, err := tx.Backlog(ctx, st.Endpoint)
			if err != nil {
				return err
			}
			all = append(all, Standing{st, b, max(0, last-st.Position)})
		}
		return nil
	})
	return all, err
}

// Deliveries lists at most limit deliveries of an endpoint in the order of commits, only pending or only parked ones.
func (m *Manager) Deliveries(ctx context.Context, endpoint string, parked bool, limit int) (list []Delivery, err error) {
	err = m.store.Read(ctx, func(tx ReadTx) error {
		list, err = tx.ListDeliveries(ctx, endpoint, parked, limit)
		return err
	})
	return list, err
}

// redeliverBatch bounds one transaction.
const redeliverBatch = 200

// Redeliver makes parked deliveries of an endpoint due again, as if they had never been tried: the one of a sequence, or
// all when that is 0. It returns how many, and fault.NotFound when the one is not parked.
func (m *Manager) Redeliver(ctx context.Context, endpoint string, sequence int64) (n int, err error) {
	for {
		batch := 0
		err := m.store.Write(ctx, func(tx Tx) error {
			list, err := m.parked(ctx, tx, endpoint, sequence)
			if err != nil {
				return err
			}
			batch = len(list)
			for _, d := range list {
				d.Attempts, d.NextAt, d.ParkedAt = 0, time.Time{}, time.Time{}
				if err := tx.UpdateDelivery(ctx, d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return n, fmt.Errorf("redeliver: %w", err)
		}
		n += batch
		if sequence != 0 || batch < redeliverBatch {
			return n, nil
		}
	}
}

func (m *Manager) parked(ctx context.Context, tx Tx, endpoint string, sequence int64) ([]Delivery, error) {
	if sequence == 0 {
		return tx.ListDeliveries(ctx, endpoint, true, redeliverBatch)
	}
	d, err := tx.Delivery(ctx, endpoint, sequence)
	if err == nil && d.ParkedAt.IsZero() || fault.KindOf(err) == fault.NotFound {
		err = fault.New(fault.NotFound, "no such delivery is parked")
	}
	return []Delivery{d}, err
}

// Resume lets an endpoint hear again that had answered 410. It returns fault.NotFound when there is none of this name.
func (m *Manager) Resume(ctx context.Context, endpoint string) error {
	err := m.store.Write(ctx, func(tx Tx) error {
		state, err := tx.WebhookState(ctx, endpoint)
		if err != nil {
			return err
		}
		state.StoppedAt = time.Time{}
		return tx.SaveWebhookState(ctx, state)
	})
	if err != nil {
		return fmt.Errorf("resume webhook: %w", err)
	}
	return nil
}
