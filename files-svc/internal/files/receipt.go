package files

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
)

// The bounds of receipts.
const (
	// keepReceipts is how long a repeated request gets the answer of the first.
	keepReceipts = 24 * time.Hour
	// maxReceipts is how many are kept of one person; beyond that the oldest go early.
	maxReceipts = 10_000
)

// Receipt is what is remembered of a request that carried a key of its maker's (Idempotency-Key), so that repeating it
// makes nothing a second time. It is written in the transaction that made what was asked for.
type Receipt struct {
	Owner   OwnerID
	Key     Digest // of the key: keys are the client's own and need not be readable here
	Request Digest // fingerprint of what was asked, the content left out
	Answer  []byte // what was made
	At      time.Time
}

// live reports whether the receipt still answers.
func (r Receipt) live(now time.Time) bool { return now.Sub(r.At) < keepReceipts }

// createRequest is what makes two creates the same request, beside their contents: those are compared by their digests.
type createRequest struct {
	Does        string
	Name        string
	ContentType string
	Metadata    Metadata
	ExpiresAt   time.Time
	NewName     bool
}

func (nf NewFile) fingerprint() (Digest, error) {
	raw, err := json.Marshal(createRequest{"create file", nf.Name, nf.ContentType, nf.Metadata, nf.ExpiresAt, nf.NewName})
	if err != nil {
		return Digest{}, fmt.Errorf("fingerprint a request: %w", err)
	}
	return sha256.Sum256(raw), nil
}

// createAnswer is a file as the create that made it answered: later changes of the file do not show in it.
type createAnswer struct {
	ID          FileID    `json:"id"`
	Name        string    `json:"name"`
	ContentType string    `json:"content_type"`
	Size        int64     `json:"size"`
	SHA256      string    `json:"sha256"`
	Metadata    Metadata  `json:"metadata,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
}

func answerOf(f File) ([]byte, error) {
	raw, err := json.Marshal(createAnswer{
		ID: f.ID, Name: f.Name, ContentType: f.ContentType, Size: f.Size, SHA256: f.SHA256.String(), Metadata: f.Metadata,
		CreatedAt: f.CreatedAt, ExpiresAt: f.ExpiresAt,
	})
	if err != nil {
		return nil, fmt.Errorf("keep an answer: %w", err)
	}
	return raw, nil
}

// file is what the receipt's create answered with: a file's first version.
func (r Receipt) file() (File, error) {
	var a createAnswer
	if err := json.Unmarshal(r.Answer, &a); err != nil {
		return File{}, fmt.Errorf("read a kept answer: %w", err)
	}
	digest, ok := ParseDigest(a.SHA256)
	if !ok {
		return File{}, fmt.Errorf("kept answer of file %s has no digest", a.ID)
	}
	return File{
		ID: a.ID, Owner: r.Owner, Name: a.Name, ContentType: a.ContentType, Size: a.Size, SHA256: digest, Version: 1,
		Metadata: a.Metadata, CreatedAt: a.CreatedAt, ContentAt: a.CreatedAt, UpdatedAt: a.CreatedAt, ExpiresAt: a.ExpiresAt,
	}, nil
}
