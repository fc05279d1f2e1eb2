package filestest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"cloakroom.dev/files-svc/internal/webhook"
)

type deliveryKey struct {
	endpoint string
	seq      int64
}

// Webhooks is a webhook.Store on a catalog in memory.
type Webhooks struct{ catalog *Catalog }

var _ webhook.Store = Webhooks{}

// Webhooks is where the catalog keeps what webhooks wait for.
func (c *Catalog) Webhooks() Webhooks { return Webhooks{c} }

// Write implements webhook.Store.
func (w Webhooks) Write(ctx context.Context, fn func(webhook.Tx) error) error {
	return w.catalog.write(ctx, func(s *state) error { return fn(s) })
}

// Read implements webhook.Store.
func (w Webhooks) Read(ctx context.Context, fn func(webhook.ReadTx) error) error {
	return w.catalog.read(ctx, func(s *state) error { return fn(s) })
}

func (s *state) WebhookState(_ context.Context, endpoint string) (webhook.State, error) {
	return get(s.webhooks, endpoint)
}

func (s *state) WebhookStates(context.Context) ([]webhook.State, error) {
	return slices.SortedFunc(maps.Values(s.webhooks), func(a, b webhook.State) int { return cmp.Compare(a.Endpoint, b.Endpoint) }), nil
}

func (s *state) SaveWebhookState(_ context.Context, st webhook.State) error {
	s.webhooks[st.Endpoint] = st
	return nil
}

func (s *state) DeleteWebhook(_ context.Context, endpoint string) error {
	delete(s.webhooks, endpoint)
	maps.DeleteFunc(s.deliveries, func(k deliveryKey, _ webhook.Delivery) bool { return k.endpoint == endpoint })
	return nil
}

// deliveriesOf is every delivery of an endpoint for which ok holds, in the order of commits.
func (s *state) deliveriesOf(endpoint string, ok func(webhook.Delivery) bool) []webhook.Delivery {
	var found []webhook.Delivery
	for k, d := range s.deliveries {
		if k.endpoint == endpoint && ok(d) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b webhook.Delivery) int { return cmp.Compare(a.Event.Seq, b.Event.Seq) })
	return found
}

func pending(d webhook.Delivery) bool { return d.ParkedAt.IsZero() }
func parked(d webhook.Delivery) bool  { return !d.ParkedAt.IsZero() }

func (s *state) FreshDeliveries(_ context.Context, endpoint string, limit int) ([]webhook.Delivery, error) {
	found := s.deliveriesOf(endpoint, func(d webhook.Delivery) bool { return pending(d) && d.NextAt.IsZero() })
	return found[:min(limit, len(found))], nil
}

func (s *state) DueDeliveries(_ context.Context, endpoint string, now time.Time, limit int) ([]webhook.Delivery, error) {
	found := s.deliveriesOf(endpoint, func(d webhook.Delivery) bool { return pending(d) && !d.NextAt.IsZero() && !d.NextAt.After(now) })
	slices.SortStableFunc(found, func(a, b webhook.Delivery) int { return a.NextAt.Compare(b.NextAt) })
	return found[:min(limit, len(found))], nil
}

func (s *state) ListDeliveries(_ context.Context, endpoint string, givenUp bool, limit int) ([]webhook.Delivery, error) {
	found := s.deliveriesOf(endpoint, func(d webhook.Delivery) bool { return parked(d) == givenUp })
	return found[:min(limit, len(found))], nil
}

func (s *state) Delivery(_ context.Context, endpoint string, seq int64) (webhook.Delivery, error) {
	return get(s.deliveries, deliveryKey{endpoint, seq})
}

func (s *state) Backlog(_ context.Context, endpoint string) (b webhook.Backlog, err error) {
	for i, d := range s.deliveriesOf(endpoint, pending) {
		if b.Pending++; i == 0 {
			b.Oldest = d.Event.At
		}
		if d.NextAt.After(b.Latest) {
			b.Latest = d.NextAt
		}
	}
	b.Parked = int64(len(s.deliveriesOf(endpoint, parked)))
	return b, nil
}

func (s *state) InsertDelivery(_ context.Context, d webhook.Delivery) error {
	return insert(s.deliveries, deliveryKey{d.Endpoint, d.Event.Seq}, d)
}

func (s *state) UpdateDelivery(_ context.Context, d webhook.Delivery) error {
	key := deliveryKey{d.Endpoint, d.Event.Seq}
	old, err := get(s.deliveries, key)
	if err == nil {
		old.Attempts, old.NextAt, old.ParkedAt, old.Result, old.Status = d.Attempts, d.NextAt, d.ParkedAt, d.Result, d.Status
		s.deliveries[key] = old
	}
	return err
}

func (s *state) DeleteDelivery(_ context.Context, endpoint string, seq int64) error {
	delete(s.deliveries, deliveryKey{endpoint, seq})
	return nil
}

func (s *state) TrimParked(_ context.Context, endpoint string, before time.Time, keep int) (n int64, err error) {
	all := s.deliveriesOf(endpoint, parked)
	for i, d := range all {
		if d.ParkedAt.Before(before) || i < len(all)-keep {
			delete(s.deliveries, deliveryKey{endpoint, d.Event.Seq})
			n++
		}
	}
	return n, nil
}

func (s *state) ClampDeliveries(_ context.Context, endpoint string, latest time.Time) error {
	for _, d := range s.deliveriesOf(endpoint, func(d webhook.Delivery) bool { return pending(d) && d.NextAt.After(latest) }) {
		d.NextAt = latest
		s.deliveries[deliveryKey{endpoint, d.Event.Seq}] = d
	}
	return nil
}
