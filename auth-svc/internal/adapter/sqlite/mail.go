package sqlite

import (
	"context"
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
	_, err := t.tx.Exec(ctx, `INSERT INTO outbox (`+mailColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		m.ID, column.NameOf(m.UserID), string(m.Kind), m.To, string(m.Identifier.Kind), m.Identifier.Key, m.UserAgent,
		column.AddressText(m.Address), micros(m.CreatedAt), micros(m.DueAt), m.Tries)
	return err
}

const leaseMails = `UPDATE outbox SET due_at = ?, tries = tries + 1 WHERE id = ?`

func (t *transaction) LeaseMails(ctx context.Context, until time.Time, limit int) ([]identity.OutMail, error) {
	mails, err := list(ctx, t, scanMail, `SELECT `+mailColumns+` FROM
		(SELECT * FROM outbox WHERE due_at <= ? ORDER BY due_at, id LIMIT ?) ORDER BY id`, micros(t.now), limit)
	if err != nil {
		return nil, err
	}
	for i := range mails {
		mails[i].DueAt, mails[i].Tries = until, mails[i].Tries+1
		if err := t.one(ctx, errNotFound, leaseMails, micros(until), mails[i].ID); err != nil {
			return nil, err
		}
	}
	return mails, nil
}

func (t *transaction) UpdateMail(ctx context.Context, m identity.OutMail) error {
	return t.one(ctx, errNotFound, `UPDATE outbox SET user_id = ?, recipient = ?, due_at = ? WHERE id = ?`,
		column.NameOf(m.UserID), m.To, micros(m.DueAt), m.ID)
}

func (t *transaction) DeleteMail(ctx context.Context, id string) error {
	return t.one(ctx, errNotFound, `DELETE FROM outbox WHERE id = ?`, id)
}

func (t *transaction) CountMails(ctx context.Context) (n int, err error) {
	err = t.tx.QueryRow(ctx, `SELECT count(*) FROM outbox`).Scan(&n)
	return n, found("the size of the outbox", err)
}

const tokenColumns = `id, user_id, purpose, email_key, hash, created_at, expires_at`

func (t *transaction) MailToken(ctx context.Context, id string) (m identity.MailToken, err error) {
	err = t.tx.QueryRow(ctx, `SELECT `+tokenColumns+` FROM mail_tokens WHERE id = ?`, id).Scan(&m.ID, &m.UserID,
		&m.Purpose, &m.EmailKey, (*column.Digest)(&m.Hash), moment{&m.CreatedAt}, moment{&m.ExpiresAt})
	return m, found("mail token", err)
}

func (t *transaction) PutMailToken(ctx context.Context, m identity.MailToken) error {
	_, err := t.tx.Exec(ctx, `INSERT OR REPLACE INTO mail_tokens (`+tokenColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		m.ID, m.UserID, string(m.Purpose), m.EmailKey, m.Hash[:], micros(m.CreatedAt), micros(m.ExpiresAt))
	return err
}

func (t *transaction) DeleteMailTokens(ctx context.Context, userID string, purposes ...identity.Purpose) error {
	if len(purposes) == 0 {
		_, err := t.tx.Exec(ctx, `DELETE FROM mail_tokens WHERE user_id = ?`, userID)
		return err
	}
	for _, p := range purposes {
		if _, err := t.tx.Exec(ctx, `DELETE FROM mail_tokens WHERE user_id = ? AND purpose = ?`, userID, string(p)); err != nil {
			return err
		}
	}
	return nil
}

const sweepMailTokens = `
	DELETE FROM mail_tokens WHERE id IN (SELECT id FROM mail_tokens WHERE expires_at <= ? LIMIT ?)`

func (t *transaction) SweepMailTokens(ctx context.Context, limit int) (int, error) {
	n, err := t.tx.Exec(ctx, sweepMailTokens, micros(t.now), limit)
	return int(n), err
}
