package files

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"cloakroom.dev/libs/fault"
)

// LinkID names a link to its owner: a UUIDv7. It opens nothing.
type LinkID string

// LinkHash is the SHA-256 of a link's token, which is all that is kept of it. A token has 256 random bits, so nothing
// slower is needed.
type LinkHash [sha256.Size]byte

// Link lets whoever has its token read the newest content of a file, without an account.
type Link struct {
	ID           LinkID
	File         FileID
	Owner        OwnerID
	Hash         LinkHash
	Password     string // as sealPassword writes it; empty: none is asked
	MaxDownloads int64  // 0: no limit
	Downloads    int64  // begun
	Failures     int64  // wrong passwords since the last right one
	FailedAt     time.Time
	CreatedAt    time.Time
	ExpiresAt    time.Time
}

// alive reports whether the link opens anything at now.
func (l Link) alive(now time.Time) bool {
	return l.ExpiresAt.After(now) && (l.MaxDownloads == 0 || l.Downloads < l.MaxDownloads)
}

// NewLink says what link is wanted.
type NewLink struct {
	ExpiresIn    time.Duration // at least a second, at most Policy.MaxLinkTTL
	MaxDownloads int64         // 0: no limit
	Password     string        // empty: none
}

// The bounds of links.
const (
	maxLinks             = 100 // of one file, at one time
	maxLinkDownloads     = 1_000_000_000
	maxLinkPasswordBytes = 256
)

// linkPrefix lets logs recognise a token wherever it turns up, and hide it.
const linkPrefix = "crl_"

func errNoLink() error { return fault.New(fault.NotFound, "no such link") }

// newLinkToken makes a token of 256 random bits.
func newLinkToken() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	return linkPrefix + base64.RawURLEncoding.EncodeToString(random[:])
}

// hashOf is the hash of a token; ok is false when the text can't be one, which saves the look-up.
func hashOf(token string) (h LinkHash, ok bool) {
	text, ok := strings.CutPrefix(token, linkPrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return sha256.Sum256([]byte(token)), ok && err == nil && len(raw) == 32
}

// CreateLink makes a link to a file outside the trash and returns its token, which is told this once: nothing that is kept
// opens the link. Making one needs the right to update. It refuses with fault.Forbidden when policy allows no links, and with
// fault.Conflict when the file has too many.
func (s *Service) CreateLink(ctx context.Context, owner OwnerID, id FileID, n NewLink) (l Link, token string, err error) {
	if err := s.allow(ctx, owner, "update"); err != nil {
		return Link{}, "", err
	}
	if err := s.CheckLink(n); err != nil {
		return Link{}, "", err
	}
	token = newLinkToken()
	l = Link{ID: LinkID(s.newID()), File: id, Owner: owner, MaxDownloads: n.MaxDownloads, CreatedAt: s.now()}
	l.Hash, _ = hashOf(token)
	l.ExpiresAt = l.CreatedAt.Add(n.ExpiresIn).Truncate(time.Microsecond)
	if n.Password != "" {
		if l.Password, err = s.sealPassword(ctx, n.Password); err != nil {
			return Link{}, "", err
		}
	}
	err = s.catalog.Write(ctx, func(tx Tx) error {
		f, err := s.visibleFile(ctx, tx, owner, id)
		if err != nil {
			return err
		}
		others, err := tx.Links(ctx, id)
		if err == nil && len(others) >= maxLinks {
			err = fault.New(fault.Conflict, "the file has too many links: delete one that is not needed")
		}
		if err != nil {
			return err
		}
		if err := tx.InsertLink(ctx, l); err != nil {
			return err
		}
		return tx.AppendEvent(ctx, Event{Kind: LinkCreated, Owner: owner, File: id, Version: f.Version, Link: l.ID, At: l.CreatedAt})
	})
	if err != nil {
		return Link{}, "", fmt.Errorf("create link: %w", err)
	}
	return l, token, nil
}

// CheckLink refuses what CreateLink would refuse, as CheckNew does for Create.
func (s *Service) CheckLink(n NewLink) error {
	longest := s.opts.Policy().MaxLinkTTL
	if longest <= 0 {
		return fault.New(fault.Forbidden, "links are not allowed here")
	}
	var bad fault.Bad
	if n.ExpiresIn < time.Second || n.ExpiresIn > longest {
		bad.Refuse("expires_in", "RANGE", fmt.Sprintf("must be from 1 to %d seconds", int64(longest/time.Second)))
	}
	if n.MaxDownloads < 0 || n.MaxDownloads > maxLinkDownloads {
		bad.Refuse("max_downloads", "RANGE", fmt.Sprintf("must be from 1 to %d", maxLinkDownloads))
	}
	if len(n.Password) > maxLinkPasswordBytes || !utf8.ValidString(n.Password) {
		bad.Refuse("password", "INVALID", "must be at most 256 bytes of UTF-8")
	}
	return bad.Err()
}

// Links lists the links of a file outside the trash, newest first, those that have expired left out.
func (s *Service) Links(ctx context.Context, owner OwnerID, id FileID) (live []Link, err error) {
	if err := s.allow(ctx, owner, "read"); err != nil {
		return nil, err
	}
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		if _, err := s.visibleFile(ctx, tx, owner, id); err != nil {
			return err
		}
		all, err := tx.Links(ctx, id)
		live = nil
		for _, l := range all {
			if l.ExpiresAt.After(s.now()) {
				live = append(live, l)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return live, nil
}

// RevokeLink ends a link at once: it opens nothing from the moment this returns, and downloads under way are cut within a
// second, in every process. It returns fault.NotFound when the file has no such link.
func (s *Service) RevokeLink(ctx context.Context, owner OwnerID, id FileID, link LinkID) error {
	if err := s.allow(ctx, owner, "update"); err != nil {
		return err
	}
	err := s.catalog.Write(ctx, func(tx Tx) error {
		l, err := tx.Link(ctx, link)
		switch {
		case err != nil:
			return errNoLinkInstead(err)
		case l.Owner != owner || l.File != id:
			return errNoLink()
		}
		if err := tx.DeleteLink(ctx, link); err != nil {
			return err
		}
		return tx.AppendEvent(ctx, Event{Kind: LinkRevoked, Owner: owner, File: id, Link: link, At: s.now()})
	})
	if err != nil {
		return fmt.Errorf("revoke link: %w", err)
	}
	return nil
}

// errNoLinkInstead speaks of links where a store says that a row is not there.
func errNoLinkInstead(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return errNoLink()
	}
	return err
}

// expireLinks forgets links whose time is over.
func (s *Service) expireLinks(ctx context.Context) error {
	return s.inBatches(ctx, "link", func(tx Tx) (int, error) {
		n, err := tx.TrimLinks(ctx, s.now(), reapBatch)
		return int(n), err
	})
}
