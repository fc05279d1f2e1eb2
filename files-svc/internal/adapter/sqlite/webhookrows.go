package sqlite

import (
	"context"
	"time"

	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/sqlite"
)

// Webhooks is a webhook.Store on the catalog's database.
type Webhooks struct{ db *sqlite.DB }

var _ webhook.Store = (*Webhooks)(nil)

// Webhooks is where the catalog keeps what webhooks wait for.
func (c *Catalog) Webhooks() *Webhooks { return &Webhooks{c.db} }

// Write implements webhook.Store.
func (w *Webhooks) Write(ctx context.Context, fn func(webhook.Tx) error) error {
	return w.db.InTx(ctx, func(t *sqlite.Tx) error { return fn(tx{t}) })
}

// Read implements webhook.Store.
func (w *Webhooks) Read(ctx context.Context, fn func(webhook.ReadTx) error) error {
	return w.db.View(ctx, func(t *sqlite.Tx) error { return fn(tx{t}) })
}

func scanWebhook(row scanner) (s webhook.State, err error) {
	var stopped int64
	err = row.Scan(&s.Endpoint, &s.Position, &stopped)
	s.StoppedAt = timeOf(stopped)
	return s, err
}

const selectWebhook = `SELECT endpoint, position, stopped_at FROM webhooks WHERE endpoint = ?`

// WebhookState implements webhook.StateReader.
func (t tx) WebhookState(ctx context.Context, endpoint string) (webhook.State, error) {
	return one(t.QueryRow(ctx, selectWebhook, endpoint), scanWebhook)
}

const selectWebhooks = `SELECT endpoint, position, stopped_at FROM webhooks ORDER BY endpoint`

// WebhookStates implements webhook.StateReader.
func (t tx) WebhookStates(ctx context.Context) ([]webhook.State, error) {
	rows, err := t.Query(ctx, selectWebhooks)
	return all(rows, err, scanWebhook)
}

const saveWebhook = `INSERT INTO webhooks (endpoint, position, stopped_at) VALUES (?, ?, ?)
	ON CONFLICT (endpoint) DO UPDATE SET position = excluded.position, stopped_at = excluded.stopped_at`

// SaveWebhookState implements webhook.StateWriter.
func (t tx) SaveWebhookState(ctx context.Context, s webhook.State) error {
	_, err := t.Exec(ctx, saveWebhook, s.Endpoint, s.Position, micros(s.StoppedAt))
	return err
}

const (
	deleteWebhookDeliveries = `DELETE FROM webhook_deliveries WHERE endpoint = ?`
	deleteWebhook           = `DELETE FROM webhooks WHERE endpoint = ?`
)

// DeleteWebhook implements webhook.StateWriter.
func (t tx) DeleteWebhook(ctx context.Context, endpoint string) error {
	if _, err := t.Exec(ctx, deleteWebhookDeliveries, endpoint); err != nil {
		return err
	}
	_, err := t.Exec(ctx, deleteWebhook, endpoint)
	return err
}

const deliveryColumns = `endpoint, seq, id, kind, owner, file, version, link, at, attempts, next_at, parked_at, result, status`

func scanDelivery(row scanner) (d webhook.Delivery, err error) {
	var at, next, parked int64
	e := &d.Event
	err = row.Scan(&d.Endpoint, &e.Seq, &d.ID, &e.Kind, &e.Owner, &e.File, &e.Version, &e.Link, &at, &d.Attempts, &next, &parked, &d.Result, &d.Status)
	e.At, d.NextAt, d.ParkedAt = timeOf(at), timeOf(next), timeOf(parked)
	return d, err
}

const selectFresh = `SELECT ` + deliveryColumns + ` FROM webhook_deliveries INDEXED BY webhook_deliveries_due
	WHERE endpoint = ? AND next_at = 0 AND parked_at = 0 ORDER BY next_at, seq LIMIT ?`

// FreshDeliveries implements webhook.DeliveryReader.
func (t tx) FreshDeliveries(ctx context.Context, endpoint string, limit int) ([]webhook.Delivery, error) {
	rows, err := t.Query(ctx, selectFresh, endpoint, limit)
	return all(rows, err, scanDelivery)
}

const selectDue = `SELECT ` + deliveryColumns + ` FROM webhook_deliveries
	WHERE endpoint = ? AND next_at > 0 AND next_at <= ? AND parked_at = 0 ORDER BY next_at, seq LIMIT ?`

// DueDeliveries implements webhook.DeliveryReader.
func (t tx) DueDeliveries(ctx context.Context, endpoint string, now time.Time, limit int) ([]webhook.Delivery, error) {
	rows, err := t.Query(ctx, selectDue, endpoint, micros(now), limit)
	return all(rows, err, scanDelivery)
}

const (
	selectPending = `SELECT ` + deliveryColumns + ` FROM webhook_deliveries WHERE endpoint = ? AND parked_at = 0 ORDER BY seq LIMIT ?`
	selectParked  = `SELECT ` + deliveryColumns + ` FROM webhook_deliveries INDEXED BY webhook_deliveries_parked
		WHERE endpoint = ? AND parked_at <> 0 ORDER BY seq LIMIT ?`
)

// ListDeliveries implements webhook.DeliveryReader.
func (t tx) ListDeliveries(ctx context.Context, endpoint string, parked bool, limit int) ([]webhook.Delivery, error) {
	query := selectPending
	if parked {
		query = selectParked
	}
	rows, err := t.Query(ctx, query, endpoint, limit)
	return all(rows, err, scanDelivery)
}

const selectDelivery = `SELECT ` + deliveryColumns + ` FROM webhook_deliveries WHERE endpoint = ? AND seq = ?`

// Delivery implements webhook.DeliveryReader.
func (t tx) Delivery(ctx context.Context, endpoint string, seq int64) (webhook.Delivery, error) {
	return one(t.QueryRow(ctx, selectDelivery, endpoint, seq), scanDelivery)
}

const (
	selectBacklog = `SELECT count(*), coalesce(max(next_at), 0) FROM webhook_deliveries WHERE endpoint = ? AND parked_at = 0`
	selectOldest  = `SELECT coalesce((SELECT at FROM webhook_deliveries WHERE endpoint = ? AND parked_at = 0 ORDER BY seq LIMIT 1), 0)`
	selectGivenUp = `SELECT count(*) FROM webhook_deliveries WHERE endpoint = ? AND parked_at <> 0`
)

// Backlog implements webhook.DeliveryReader.
func (t tx) Backlog(ctx context.Context, endpoint string) (b webhook.Backlog, err error) {
	var oldest, latest int64
	if err := t.QueryRow(ctx, selectBacklog, endpoint).Scan(&b.Pending, &latest); err != nil {
		return b, err
	}
	if err := t.QueryRow(ctx, selectOldest, endpoint).Scan(&oldest); err != nil {
		return b, err
	}
	b.Oldest, b.Latest = timeOf(oldest), timeOf(latest)
	err = t.QueryRow(ctx, selectGivenUp, endpoint).Scan(&b.Parked)
	return b, err
}

const insertDelivery = `INSERT INTO webhook_deliveries (` + deliveryColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// InsertDelivery implements webhook.DeliveryWriter.
func (t tx) InsertDelivery(ctx context.Context, d webhook.Delivery) error {
	e := d.Event
	return t.insert(ctx, insertDelivery, d.Endpoint, e.Seq, d.ID, string(e.Kind), string(e.Owner), string(e.File), e.Version, string(e.Link),
		micros(e.At), d.Attempts, micros(d.NextAt), micros(d.ParkedAt), string(d.Result), d.Status)
}

const updateDelivery = `UPDATE webhook_deliveries SET attempts = ?, next_at = ?, parked_at = ?, result = ?, status = ? WHERE endpoint = ? AND seq = ?`

// UpdateDelivery implements webhook.DeliveryWriter.
func (t tx) UpdateDelivery(ctx context.Context, d webhook.Delivery) error {
	return t.change(ctx, errNotFound(), updateDelivery, d.Attempts, micros(d.NextAt), micros(d.ParkedAt), string(d.Result), d.Status,
		d.Endpoint, d.Event.Seq)
}

const deleteDelivery = `DELETE FROM webhook_deliveries WHERE endpoint = ? AND seq = ?`

// DeleteDelivery implements webhook.DeliveryWriter.
func (t tx) DeleteDelivery(ctx context.Context, endpoint string, seq int64) error {
	_, err := t.Exec(ctx, deleteDelivery, endpoint, seq)
	return err
}

const trimParked = `DELETE FROM webhook_deliveries WHERE endpoint = ?1 AND parked_at <> 0 AND (parked_at < ?2 OR seq <=
	(SELECT seq FROM webhook_deliveries WHERE endpoint = ?1 AND parked_at <> 0 ORDER BY seq DESC LIMIT 1 OFFSET ?3))`

// TrimParked implements webhook.DeliveryWriter.
func (t tx) TrimParked(ctx context.Context, endpoint string, before time.Time, keep int) (int64, error) {
	return t.Exec(ctx, trimParked, endpoint, micros(before), keep)
}

const clampDeliveries = `UPDATE webhook_deliveries SET next_at = ?1 WHERE endpoint = ?2 AND parked_at = 0 AND next_at > ?1`

// ClampDeliveries implements webhook.DeliveryWriter.
func (t tx) ClampDeliveries(ctx context.Context, endpoint string, latest time.Time) error {
	_, err := t.Exec(ctx, clampDeliveries, micros(latest), endpoint)
	return err
}
