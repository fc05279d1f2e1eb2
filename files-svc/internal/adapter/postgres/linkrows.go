package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/files-svc/internal/files"
)

const linkColumns = `id, file, owner, hash, password, max_downloads, downloads, failures, failed_at, created_at, expires_at`

func scanLink(row pgx.CollectableRow) (l files.Link, err error) {
	var hash []byte
	var failed *time.Time
	err = row.Scan(&l.ID, &l.File, &l.Owner, &hash, &l.Password, &l.MaxDownloads, &l.Downloads, &l.Failures, &failed, &l.CreatedAt, &l.ExpiresAt)
	if err != nil {
		return files.Link{}, err
	}
	if len(hash) != len(l.Hash) {
		return files.Link{}, fmt.Errorf("hash of link %s has %d bytes", l.ID, len(hash))
	}
	l.Hash = files.LinkHash(hash)
	l.FailedAt, l.CreatedAt, l.ExpiresAt = timeOf(failed), l.CreatedAt.UTC(), l.ExpiresAt.UTC()
	return l, nil
}

const selectLink = `SELECT ` + linkColumns + ` FROM links WHERE id = $1`

// Link implements files.LinkReader.
func (t tx) Link(ctx context.Context, id files.LinkID) (files.Link, error) {
	t.lock(ownerOfLink, string(id))
	return one(ctx, t, scanLink, selectLink, string(id))
}

const selectLinkByHash = `SELECT ` + linkColumns + ` FROM links WHERE hash = $1`

// LinkByHash implements files.LinkReader.
func (t tx) LinkByHash(ctx context.Context, hash files.LinkHash) (files.Link, error) {
	t.lock(ownerOfHash, hash[:])
	return one(ctx, t, scanLink, selectLinkByHash, hash[:])
}

const selectLinks = `SELECT ` + linkColumns + ` FROM links WHERE file = $1 ORDER BY created_at DESC, id DESC`

// Links implements files.LinkReader.
func (t tx) Links(ctx context.Context, file files.FileID) ([]files.Link, error) {
	return all(ctx, t, scanLink, selectLinks, string(file))
}

const insertLink = `INSERT INTO links (` + linkColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`

// InsertLink implements files.LinkWriter.
func (t tx) InsertLink(ctx context.Context, l files.Link) error {
	return t.change(ctx, errConflict(), insertLink, string(l.ID), string(l.File), string(l.Owner), l.Hash[:], l.Password, l.MaxDownloads,
		l.Downloads, l.Failures, nullable(l.FailedAt), l.CreatedAt, l.ExpiresAt)
}

const updateLink = `UPDATE links SET downloads = $2, failures = $3, failed_at = $4 WHERE id = $1`

// UpdateLink implements files.LinkWriter.
func (t tx) UpdateLink(ctx context.Context, l files.Link) error {
	return t.change(ctx, errNotFound(), updateLink, string(l.ID), l.Downloads, l.Failures, nullable(l.FailedAt))
}

const deleteLink = `DELETE FROM links WHERE id = $1`

// DeleteLink implements files.LinkWriter.
func (t tx) DeleteLink(ctx context.Context, id files.LinkID) error {
	return t.change(ctx, errNotFound(), deleteLink, string(id))
}

const deleteLinks = `DELETE FROM links WHERE file = $1`

// DeleteLinks implements files.LinkWriter.
func (t tx) DeleteLinks(_ context.Context, file files.FileID) error {
	t.queue(nil, deleteLinks, string(file))
	return nil
}

const trimLinks = `DELETE FROM links WHERE id IN
	(SELECT id FROM links WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)`

// TrimLinks implements files.LinkWriter.
func (t tx) TrimLinks(ctx context.Context, until time.Time, limit int) (int64, error) {
	return t.exec(ctx, trimLinks, until, limit)
}

const selectReceipt = `SELECT owner, key, request, answer, at FROM receipts WHERE owner = $1 AND key = $2`

func scanReceipt(row pgx.CollectableRow) (r files.Receipt, err error) {
	var key, request []byte
	if err := row.Scan(&r.Owner, &key, &request, &r.Answer, &r.At); err != nil {
		return files.Receipt{}, err
	}
	r.At = r.At.UTC()
	if r.Key, err = digestOf(key); err != nil {
		return files.Receipt{}, err
	}
	r.Request, err = digestOf(request)
	return r, err
}

// Receipt implements files.ReceiptReader. That there is none stays so under the owner's lock.
func (t tx) Receipt(ctx context.Context, owner files.OwnerID, key files.Digest) (files.Receipt, error) {
	t.lock(makeOwner, string(owner))
	t.lock(lockOwner, string(owner))
	return one(ctx, t, scanReceipt, selectReceipt, string(owner), key[:])
}

const saveReceipt = `INSERT INTO receipts (owner, key, request, answer, at) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (owner, key) DO UPDATE SET request = excluded.request, answer = excluded.answer, at = excluded.at`

// SaveReceipt implements files.ReceiptWriter.
func (t tx) SaveReceipt(_ context.Context, r files.Receipt) error {
	t.queue(nil, saveReceipt, string(r.Owner), r.Key[:], r.Request[:], r.Answer, r.At)
	return nil
}

const keepReceipts = `DELETE FROM receipts WHERE owner = $1 AND (at, key) <=
	(SELECT at, key FROM receipts WHERE owner = $1 ORDER BY at DESC, key DESC LIMIT 1 OFFSET $2)`

// KeepReceipts implements files.ReceiptWriter.
func (t tx) KeepReceipts(_ context.Context, owner files.OwnerID, keep int, removed func(int64)) error {
	t.w.queued = append(t.w.queued, statement{query: keepReceipts, args: []any{string(owner), keep}, rows: removed})
	return nil
}

const trimReceipts = `DELETE FROM receipts WHERE (owner, key) IN
	(SELECT owner, key FROM receipts WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)`

// TrimReceipts implements files.ReceiptWriter.
func (t tx) TrimReceipts(ctx context.Context, until time.Time, limit int) (int64, error) {
	return t.exec(ctx, trimReceipts, until, limit)
}
