package sqlite

import (
	"context"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

const selectReceipt = `SELECT owner, key, request, answer, at FROM receipts WHERE owner = ? AND key = ?`

func scanReceipt(row scanner) (r files.Receipt, err error) {
	var key, request []byte
	var at int64
	if err := row.Scan(&r.Owner, &key, &request, &r.Answer, &at); err != nil {
		return files.Receipt{}, err
	}
	r.At = timeOf(at)
	if r.Key, err = digestOf(key); err != nil {
		return files.Receipt{}, err
	}
	r.Request, err = digestOf(request)
	return r, err
}

// Receipt implements files.ReceiptReader.
func (t tx) Receipt(ctx context.Context, owner files.OwnerID, key files.Digest) (files.Receipt, error) {
	return one(t.QueryRow(ctx, selectReceipt, string(owner), key[:]), scanReceipt)
}

const saveReceipt = `INSERT INTO receipts (owner, key, request, answer, at) VALUES (?, ?, ?, ?, ?)
	ON CONFLICT (owner, key) DO UPDATE SET request = excluded.request, answer = excluded.answer, at = excluded.at`

// SaveReceipt implements files.ReceiptWriter.
func (t tx) SaveReceipt(ctx context.Context, r files.Receipt) error {
	_, err := t.Exec(ctx, saveReceipt, string(r.Owner), r.Key[:], r.Request[:], r.Answer, micros(r.At))
	return err
}

const keepReceipts = `DELETE FROM receipts WHERE owner = ?1 AND (at, key) <=
	(SELECT at, key FROM receipts WHERE owner = ?1 ORDER BY at DESC, key DESC LIMIT 1 OFFSET ?2)`

// KeepReceipts implements files.ReceiptWriter.
func (t tx) KeepReceipts(ctx context.Context, owner files.OwnerID, keep int, removed func(int64)) error {
	n, err := t.Exec(ctx, keepReceipts, string(owner), keep)
	removed(n)
	return err
}

const trimReceipts = `DELETE FROM receipts WHERE (owner, key) IN (SELECT owner, key FROM receipts WHERE at <= ?1 ORDER BY at LIMIT ?2)`

// TrimReceipts implements files.ReceiptWriter.
func (t tx) TrimReceipts(ctx context.Context, until time.Time, limit int) (int64, error) {
	return t.Exec(ctx, trimReceipts, micros(until), limit)
}
