package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/postgres"
)

// Webhooks is a webhook.Store on the catalog's database.
type Webhooks struct{ db *postgres.DB }

var _ webhook.Store = (*Webhooks)(nil)

// Webhooks is where the catalog keeps what webhooks wait for.
func (c *Catalog) Webhooks() *Webhooks { return &Webhooks{c.db} }

// Write implements webhook.Store.
func (w *Webhooks) Write(ctx context.Context, fn func(webhook.Tx) error) error {
	return w.db.InTx(ctx, func(t *postgres.Tx) error {
		own := tx{t, &writing{}}
		if err := fn(own); err != nil {
			return err
		}
		return own.flush(ctx)
	})
}

// Read implements webhook.Store.
func (w *Webhooks) Read(ctx context.Context, fn func(webhook.ReadTx) error) error {
	return w.db.View(ctx, func(t *postgres.Tx) error { return fn(tx{Tx: t}) })
}

func scanWebhook(row pgx.CollectableRow) (s webhook.State, err error) {
	var stopped *time.Time
	err = row.Scan(&s.Endpoint, &s.Position, &stopped)
	s.StoppedAt = timeOf(stopped)
	return s, err
}

const (
	selectWebhook = `SELECT endpoint, position, stopped_at FROM webhooks WHERE endpoint = $1`
	takeWebhook   = selectWebhook + ` FOR UPDATE`
)

// WebhookState implements webhook.StateReader.
func (t tx) WebhookState(ctx context.Context, endpoint string) (webhook.State, error) {
	query := selectWebhook
	if t.w != nil {
		query = takeWebhook
	}
	return one(ctx, t, scanWebhook, query, endpoint)
}

const selectWebhooks = `SELECT endpoint, position, stopped_at FROM webhooks ORDER BY endpoint`

// WebhookStates implements webhook.StateReader.
func (t tx) WebhookStates(ctx context.Context) ([]webhook.State, error) {
	return all(ctx, t, scanWebhook, selectWebhooks)
}

const saveWebhook = `INSERT INTO webhooks (endpoint, position, stopped_at) VALUES ($1, $2, $3)
	ON CONFLICT (endpoint) DO UPDATE SET position = excluded.position, stopped_at = excluded.stopped_at`

// SaveWebhookState implements webhook.StateWriter.
func (t tx) SaveWebhookState(ctx context.Context, s webhook.State) error {
	_, err := t.exec(ctx, saveWebhook, s.Endpoint, s.Position, nullable(s.StoppedAt))
	return err
}

const (
	deleteWebhookDeliveries = `DELETE FROM webhook_deliveries WHERE endpoint = $1`
	deleteWebhook           = `DELETE FROM webhooks WHERE endpoint = $1`
)

// DeleteWebhook implements webhook.StateWriter.
func (t tx) DeleteWebhook(ctx context.Context, endpoint string) error {
	t.queue(nil, deleteWebhookDeliveries, endpoint)
	_, err := t.exec(ctx, deleteWebhook, endpoint)
	return err
}

const deliveryColumns = `endpoint, seq, id, kind, owner, file, version, link, at, attempts, next_at, parked_at, result, status`

func scanDelivery(row pgx.CollectableRow) (d webhook.Delivery, err error) {
	var next, parked *time.Time
	e := &d.Event
	err = row.Scan(&d.Endpoint, &e.Seq, &d.ID, &e.Kind, &e.Owner, &e.File, &e.Version, &e.Link, &e.At, &d.Attempts, &next, &parked, &d.Result, &d.Status)
	e.At, d.NextAt, d.ParkedAt = e.At.UTC(), timeOf(next), timeOf(parked)
	return d, err
}

const selectFresh = `SELECT ` + deliveryColumns + ` FROM webhook_deliveries
	WHERE endpoint = $1 AND next_at IS NULL AND parked_at IS NULL ORDER BY seq LIMIT $2`

// FreshDeliveries implements webhook.DeliveryReader.
func (t tx) FreshDeliveries(ctx context.Context, endpoint string, limit int) ([]webhook.Delivery, error) {
	return all(ctx, t, scanDelivery, selectFresh, custom, endpoint, limit)
}

const selectDue = `SELECT ` + deliveryColumns + ` FROM webhook_deliveries
	WHERE endpoint = $1 AND next_at <= $2 AND parked_at IS NULL ORDER BY next_at, seq LIMIT $3`

// DueDeliveries implements webhook.DeliveryReader.
func (t tx) DueDeliveries(ctx context.Context, endpoint string, now time.Time, limit int) ([]webhook.Delivery, error) {
	return all(ctx, t, scanDelivery, selectDue, custom, endpoint, now, limit)
}

const (
	selectPending = `SELECT ` + deliveryColumns + ` FROM webhook_deliveries WHERE endpoint = $1 AND parked_at IS NULL ORDER BY seq LIMIT $2`
	selectParked  = `SELECT ` + deliveryColumns + ` FROM webhook_deliveries WHERE endpoint = $1 AND parked_at IS NOT NULL ORDER BY seq LIMIT $2`
)

// ListDeliveries implements webhook.DeliveryReader.
func (t tx) ListDeliveries(ctx context.Context, endpoint string, parked bool, limit int) ([]webhook.Delivery, error) {
	query := selectPending
	if parked {
		query = selectParked
	}
	return all(ctx, t, scanDelivery, query, custom, endpoint, limit)
}

const selectDelivery = `SELECT ` + deliveryColumns + ` FROM webhook_deliveries WHERE endpoint = $1 AND seq = $2`

// Delivery implements webhook.DeliveryReader.
func (t tx) Delivery(ctx context.Context, endpoint string, seq int64) (webhook.Delivery, error) {
	return one(ctx, t, scanDelivery, selectDelivery, endpoint, seq)
}

const selectBacklog = `SELECT
	(SELECT count(*) FROM webhook_deliveries WHERE endpoint = $1 AND parked_at IS NULL),
	(SELECT count(*) FROM webhook_deliveries WHERE endpoint = $1 AND parked_at IS NOT NULL),
	(SELECT at FROM webhook_deliveries WHERE endpoint = $1 AND parked_at IS NULL ORDER BY seq LIMIT 1),
	(SELECT max(next_at) FROM webhook_deliveries WHERE endpoint = $1 AND parked_at IS NULL)`

// Backlog implements webhook.DeliveryReader.
func (t tx) Backlog(ctx context.Context, endpoint string) (webhook.Backlog, error) {
	return one(ctx, t, func(row pgx.CollectableRow) (b webhook.Backlog, err error) {
		var oldest, latest *time.Time
		err = row.Scan(&b.Pending, &b.Parked, &oldest, &latest)
		b.Oldest, b.Latest = timeOf(oldest), timeOf(latest)
		return b, err
	}, selectBacklog, endpoint)
}

const insertDelivery = `INSERT INTO webhook_deliveries (` + deliveryColumns + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING`

// InsertDelivery implements webhook.DeliveryWriter.
func (t tx) InsertDelivery(ctx context.Context, d webhook.Delivery) error {
	e := d.Event
	return t.change(ctx, errConflict(), insertDelivery, d.Endpoint, e.Seq, d.ID, string(e.Kind), string(e.Owner), string(e.File), e.Version,
		string(e.Link), e.At, d.Attempts, nullable(d.NextAt), nullable(d.ParkedAt), string(d.Result), d.Status)
}

const updateDelivery = `UPDATE webhook_deliveries SET attempts = $3, next_at = $4, parked_at = $5, result = $6, status = $7
	WHERE endpoint = $1 AND seq = $2`

// UpdateDelivery implements webhook.DeliveryWriter.
func (t tx) UpdateDelivery(ctx context.Context, d webhook.Delivery) error {
	return t.change(ctx, errNotFound(), updateDelivery, d.Endpoint, d.Event.Seq, d.Attempts, nullable(d.NextAt), nullable(d.ParkedAt),
		string(d.Result), d.Status)
}

const deleteDelivery = `DELETE FROM webhook_deliveries WHERE endpoint = $1 AND seq = $2`

// DeleteDelivery implements webhook.DeliveryWriter.
func (t tx) DeleteDelivery(ctx context.Context, endpoint string, seq int64) error {
	_, err := t.exec(ctx, deleteDelivery, endpoint, seq)
	return err
}

const trimParked = `DELETE FROM webhook_deliveries WHERE endpoint = $1 AND parked_at IS NOT NULL AND (parked_at < $2 OR seq <=
	(SELECT seq FROM webhook_deliveries WHERE endpoint = $1 AND parked_at IS NOT NULL ORDER BY seq DESC LIMIT 1 OFFSET $3))`

// TrimParked implements webhook.DeliveryWriter.
func (t tx) TrimParked(ctx context.Context, endpoint string, before time.Time, keep int) (int64, error) {
	return t.exec(ctx, trimParked, endpoint, before, keep)
}

const clampDeliveries = `UPDATE webhook_deliveries SET next_at = $2 WHERE endpoint = $1 AND parked_at IS NULL AND next_at > $2`

// ClampDeliveries implements webhook.DeliveryWriter.
func (t tx) ClampDeliveries(ctx context.Context, endpoint string, latest time.Time) error {
	_, err := t.exec(ctx, clampDeliveries, endpoint, latest)
	return err
}
