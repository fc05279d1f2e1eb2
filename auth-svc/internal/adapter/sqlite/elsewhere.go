package sqlite

import (
	"context"
	"fmt"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/sqlite"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

var errLinked = fault.New(fault.Duplicate, "this identity is linked already")

const externalColumns = `id, user_id, provider, issuer, subject, email, created_at, last_used_at`

func scanExternal(row scanner) (e identity.ExternalIdentity, err error) {
	err = row.Scan(&e.ID, &e.UserID, &e.Provider, &e.Issuer, &e.Subject, &e.Email, moment{&e.CreatedAt}, moment{&e.LastUsedAt})
	return e, found("external identity", err)
}

func (t *transaction) ExternalIdentity(ctx context.Context, issuer, subject string) (identity.ExternalIdentity, error) {
	return scanExternal(t.tx.QueryRow(ctx, `SELECT `+externalColumns+` FROM external_identities WHERE issuer = ? AND subject = ?`, issuer, subject))
}

func (t *transaction) ExternalIdentitiesOf(ctx context.Context, userID string) ([]identity.ExternalIdentity, error) {
	return list(ctx, t, scanExternal, `SELECT `+externalColumns+` FROM external_identities WHERE user_id = ? ORDER BY created_at, id`, userID)
}

func (t *transaction) InsertExternalIdentity(ctx context.Context, e identity.ExternalIdentity) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO external_identities (`+externalColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		e.ID, e.UserID, e.Provider, e.Issuer, e.Subject, e.Email, micros(e.CreatedAt), micros(e.LastUsedAt))
	switch {
	case err == nil:
		return nil
	case sqlite.IsUnique(err):
		return errLinked
	default:
		return fmt.Errorf("insert external identity: %w", err)
	}
}

func (t *transaction) TouchExternalIdentity(ctx context.Context, e identity.ExternalIdentity) error {
	return t.one(ctx, errNotFound, `UPDATE external_identities SET email = ?, last_used_at = ? WHERE id = ?`, e.Email, micros(e.LastUsedAt), e.ID)
}

func (t *transaction) DeleteExternalIdentity(ctx context.Context, userID, id string) error {
	return t.one(ctx, errNotFound, `DELETE FROM external_identities WHERE user_id = ? AND id = ?`, userID, id)
}

const handoffColumns = `id, kind, hash, sealed, created_at, expires_at`

func (t *transaction) InsertHandoff(ctx context.Context, h identity.Handoff) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO sign_in_handoffs (`+handoffColumns+`) VALUES (?, ?, ?, ?, ?, ?)`,
		h.ID, string(h.Kind), h.Hash[:], blob(h.Sealed), micros(h.CreatedAt), micros(h.ExpiresAt))
	if err != nil {
		return fmt.Errorf("insert handoff: %w", err)
	}
	return nil
}

const takeHandoff = `DELETE FROM sign_in_handoffs WHERE kind = ? AND id = ? RETURNING ` + handoffColumns

func (t *transaction) TakeHandoff(ctx context.Context, kind identity.HandoffKind, id string) (h identity.Handoff, err error) {
	err = t.tx.QueryRow(ctx, takeHandoff, string(kind), id).Scan(&h.ID, &h.Kind, (*column.Digest)(&h.Hash), &h.Sealed,
		moment{&h.CreatedAt}, moment{&h.ExpiresAt})
	return h, found("handoff", err)
}

func (t *transaction) CountHandoffs(ctx context.Context, kind identity.HandoffKind) (n int, err error) {
	err = t.tx.QueryRow(ctx, `SELECT count(*) FROM sign_in_handoffs WHERE kind = ?`, string(kind)).Scan(&n)
	return n, found("handoffs", err)
}

const sweepHandoffs = `
	DELETE FROM sign_in_handoffs WHERE id IN (SELECT id FROM sign_in_handoffs WHERE expires_at <= ? LIMIT ?)`

func (t *transaction) SweepHandoffs(ctx context.Context, limit int) (int, error) {
	n, err := t.tx.Exec(ctx, sweepHandoffs, micros(t.now), limit)
	return int(n), err
}
