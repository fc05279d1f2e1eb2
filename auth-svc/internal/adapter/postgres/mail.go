package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

const mailColumns = `
	id, user_id, kind, recipient, identifier_kind, identifier, user_agent, address, created_at, due_at, tries`

func scanMail(row scanner) (m identity.OutMail, err error) {
	err = row.Scan(&m.ID, (*column.Name)(&m.UserID), &m.Kind, &m.To, &m.Identifier.Kind, &m.Identifier.Key, &m.UserAgent,
		(*column.Address)(&m.Address), moment{&m.CreatedAt}, moment{&m.DueAt}, &m.Tries)
	return m, found("mail", err)
}

func (t *transaction) InsertMail(ctx context.Context, m identity.OutMail) error {
	_, err := t.exec(ctx, `INSERT INTO outbox (`+mailColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		id(m.ID), id(m.UserID), string(m.Kind), m.To, string(m.Identifier.Kind), m.Identifier.Key, m.UserAgent,
		column.AddressText(m.Address), at(m.CreatedAt), at(m.DueAt), m.Tries)
	return err
}

// Mails that another replica is taking are left to it.
const leaseMails = `
	UPDATE outbox SET due_at = $1, tries = tries + 1
	WHERE id IN (SELECT id FROM outbox WHERE due_at <= $2 ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
	RETURNING ` + mailColumns

func (t *transaction) LeaseMails(ctx context.Context, until time.Time, limit int) ([]identity.OutMail, error) {
	mails, err := list(ctx, t, scanMail, leaseMails, at(until), t.now, limit)
	slices.SortFunc(mails, func(a, b identity.OutMail) int { return strings.Compare(a.ID, b.ID) })
	return mails, err
}

func (t *transaction) UpdateMail(ctx context.Context, m identity.OutMail) error {
	return t.one(ctx, errNotFound, `UPDATE outbox SET user_id = $1, recipient = $2, due_at = $3 WHERE id = $4`,
		id(m.UserID), m.To, at(m.DueAt), id(m.ID))
}

func (t *transaction) DeleteMail(ctx context.Context, mailID string) error {
	return t.one(ctx, errNotFound, `DELETE FROM outbox WHERE id = $1`, id(mailID))
}

func (t *transaction) CountMails(ctx context.Context) (n int, err error) {
	err = t.row(ctx, `SELECT count(*) FROM outbox`).Scan(&n)
	return n, found("the size of the outbox", err)
}

const tokenColumns = `id, user_id, purpose, email_key, hash, created_at, expires_at`

func (t *transaction) MailToken(ctx context.Context, tokenID string) (m identity.MailToken, err error) {
	err = t.row(ctx, t.locking(`SELECT `+tokenColumns+` FROM mail_tokens WHERE id = $1`, `FOR UPDATE`), id(tokenID)).
		Scan(&m.ID, &m.UserID, &m.Purpose, &m.EmailKey, (*column.Digest)(&m.Hash), moment{&m.CreatedAt}, moment{&m.ExpiresAt})
	return m, found("mail token", err)
}

const putMailToken = `
	INSERT INTO mail_tokens (` + tokenColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7)
	ON CONFLICT (user_id, purpose) DO UPDATE SET id = excluded.id, email_key = excluded.email_key, hash = excluded.hash,
		created_at = excluded.created_at, expires_at = excluded.expires_at`

func (t *transaction) PutMailToken(ctx context.Context, m identity.MailToken) error {
	_, err := t.exec(ctx, putMailToken, id(m.ID), id(m.UserID), string(m.Purpose), m.EmailKey, m.Hash[:], at(m.CreatedAt), at(m.ExpiresAt))
	return err
}

func (t *transaction) DeleteMailTokens(ctx context.Context, userID string, purposes ...identity.Purpose) error {
	if len(purposes) == 0 {
		_, err := t.exec(ctx, `DELETE FROM mail_tokens WHERE user_id = $1`, id(userID))
		return err
	}
	texts := make([]string, len(purposes))
	for i, p := range purposes {
		texts[i] = string(p)
	}
	_, err := t.exec(ctx, `DELETE FROM mail_tokens WHERE user_id = $1 AND purpose = ANY($2)`, id(userID), texts)
	return err
}

func (t *transaction) SweepMailTokens(ctx context.Context, limit int) (int, error) {
	return t.sweep(ctx, "mail_tokens", "id", "expires_at", limit)
}
