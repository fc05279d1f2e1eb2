package sqlite

import (
	"context"
	"fmt"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

const linkColumns = `id, file, owner, hash, password, max_downloads, downloads, failures, failed_at, created_at, expires_at`

func scanLink(row scanner) (files.Link, error) {
	var l files.Link
	var hash []byte
	var failed, created, expires int64
	err := row.Scan(&l.ID, &l.File, &l.Owner, &hash, &l.Password, &l.MaxDownloads, &l.Downloads, &l.Failures, &failed, &created, &expires)
	if err != nil {
		return files.Link{}, err
	}
	if len(hash) != len(l.Hash) {
		return files.Link{}, fmt.Errorf("hash of link %s has %d bytes", l.ID, len(hash))
	}
	l.Hash = files.LinkHash(hash)
	l.FailedAt, l.CreatedAt, l.ExpiresAt = timeOf(failed), timeOf(created), timeOf(expires)
	return l, nil
}

const selectLink = `SELECT ` + linkColumns + ` FROM links WHERE id = ?`

// Link implements files.LinkReader.
func (t tx) Link(ctx context.Context, id files.LinkID) (files.Link, error) {
	return one(t.QueryRow(ctx, selectLink, string(id)), scanLink)
}

const selectLinkByHash = `SELECT ` + linkColumns + ` FROM links WHERE hash = ?`

// LinkByHash implements files.LinkReader.
func (t tx) LinkByHash(ctx context.Context, hash files.LinkHash) (files.Link, error) {
	return one(t.QueryRow(ctx, selectLinkByHash, hash[:]), scanLink)
}

const selectLinks = `SELECT ` + linkColumns + ` FROM links WHERE file = ? ORDER BY created_at DESC, id DESC`

// Links implements files.LinkReader.
func (t tx) Links(ctx context.Context, file files.FileID) ([]files.Link, error) {
	rows, err := t.Query(ctx, selectLinks, string(file))
	return all(rows, err, scanLink)
}

const insertLink = `INSERT INTO links (` + linkColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// InsertLink implements files.LinkWriter.
func (t tx) InsertLink(ctx context.Context, l files.Link) error {
	return t.insert(ctx, insertLink, string(l.ID), string(l.File), string(l.Owner), l.Hash[:], l.Password, l.MaxDownloads, l.Downloads,
		l.Failures, micros(l.FailedAt), micros(l.CreatedAt), micros(l.ExpiresAt))
}

const updateLink = `UPDATE links SET downloads = ?, failures = ?, failed_at = ? WHERE id = ?`

// UpdateLink implements files.LinkWriter.
func (t tx) UpdateLink(ctx context.Context, l files.Link) error {
	return t.change(ctx, errNotFound(), updateLink, l.Downloads, l.Failures, micros(l.FailedAt), string(l.ID))
}

const deleteLink = `DELETE FROM links WHERE id = ?`

// DeleteLink implements files.LinkWriter.
func (t tx) DeleteLink(ctx context.Context, id files.LinkID) error {
	return t.change(ctx, errNotFound(), deleteLink, string(id))
}

const deleteLinks = `DELETE FROM links WHERE file = ?`

// DeleteLinks implements files.LinkWriter.
func (t tx) DeleteLinks(ctx context.Context, file files.FileID) error {
	_, err := t.Exec(ctx, deleteLinks, string(file))
	return err
}

const trimLinks = `DELETE FROM links WHERE id IN (SELECT id FROM links WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)`

// TrimLinks implements files.LinkWriter.
func (t tx) TrimLinks(ctx context.Context, until time.Time, limit int) (int64, error) {
	return t.Exec(ctx, trimLinks, micros(until), limit)
}
