package postgres

import (
	"context"
	"fmt"

	"cloakroom.dev/libs/fault"

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
	return scanExternal(t.row(ctx, `SELECT `+externalColumns+` FROM external_identities WHERE issuer = $1 AND subject = $2`, issuer, subject))
}

// ExternalIdentitiesOf locks the person: that covers identities to come too.
func (t *transaction) ExternalIdentitiesOf(ctx context.Context, userID string) ([]identity.ExternalIdentity, error) {
	if err := t.lockPerson(ctx, userID); err != nil {
		return nil, err
	}
	return list(ctx, t, scanExternal, `SELECT `+externalColumns+` FROM external_identities WHERE user_id = $1 ORDER BY created_at, id`, id(userID))
}

// lockPerson locks what is a person's own, by the person's row.
func (t *transaction) lockPerson(ctx context.Context, userID string) error {
	if !t.writes {
		return nil
	}
	if _, err := t.exec(ctx, lockUser, id(userID)); err != nil {
		return fmt.Errorf("lock the person: %w", err)
	}
	return nil
}

func (t *transaction) InsertExternalIdentity(ctx context.Context, e identity.ExternalIdentity) error {
	return t.one(ctx, errLinked, `INSERT INTO external_identities (`+externalColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		id(e.ID), id(e.UserID), e.Provider, e.Issuer, e.Subject, e.Email, at(e.CreatedAt), at(e.LastUsedAt))
}

func (t *transaction) TouchExternalIdentity(ctx context.Context, e identity.ExternalIdentity) error {
	return t.one(ctx, errNotFound, `UPDATE external_identities SET email = $1, last_used_at = $2 WHERE id = $3`,
		e.Email, at(e.LastUsedAt), id(e.ID))
}

func (t *transaction) DeleteExternalIdentity(ctx context.Context, userID, identityID string) error {
	return t.one(ctx, errNotFound, `DELETE FROM external_identities WHERE user_id = $1 AND id = $2`, id(userID), id(identityID))
}

const handoffColumns = `id, kind, hash, sealed, created_at, expires_at`

func (t *transaction) InsertHandoff(ctx context.Context, h identity.Handoff) error {
	_, err := t.exec(ctx, `INSERT INTO sign_in_handoffs (`+handoffColumns+`) VALUES ($1, $2, $3, $4, $5, $6)`,
		id(h.ID), string(h.Kind), h.Hash[:], bytesOf(h.Sealed), at(h.CreatedAt), at(h.ExpiresAt))
	if err != nil {
		return fmt.Errorf("insert handoff: %w", err)
	}
	return nil
}

const takeHandoff = `DELETE FROM sign_in_handoffs WHERE kind = $1 AND id = $2 RETURNING ` + handoffColumns

func (t *transaction) TakeHandoff(ctx context.Context, kind identity.HandoffKind, handoffID string) (h identity.Handoff, err error) {
	err = t.row(ctx, takeHandoff, string(kind), id(handoffID)).Scan(&h.ID, &h.Kind, (*column.Digest)(&h.Hash), &h.Sealed,
		moment{&h.CreatedAt}, moment{&h.ExpiresAt})
	return h, found("handoff", err)
}

// CountHandoffs locks the kind for a writer, who is about to add one to it.
func (t *transaction) CountHandoffs(ctx context.Context, kind identity.HandoffKind) (n int, err error) {
	if err := t.lock(ctx, "handoffs/"+string(kind)); err != nil {
		return 0, fmt.Errorf("lock handoffs: %w", err)
	}
	err = t.row(ctx, `SELECT count(*) FROM sign_in_handoffs WHERE kind = $1`, string(kind)).Scan(&n)
	return n, found("handoffs", err)
}

func (t *transaction) SweepHandoffs(ctx context.Context, limit int) (int, error) {
	return t.sweep(ctx, "sign_in_handoffs", "id", "expires_at", limit)
}
