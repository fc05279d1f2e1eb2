package files

import (
	"context"
	"fmt"

	"cloakroom.dev/libs/fault"
)

// ErrLinkPassword is what OpenLink returns when a link needs a password and none, or a wrong one, was given.
var ErrLinkPassword = fault.New(fault.Forbidden, "this link needs its password")

// Shared is a content opened by a link. Close it.
type Shared struct {
	*Content
	link Link
}

// OpenLink opens the newest content of the file a token leads to; it needs no caller in ctx. password is what was given,
// nil for none. Nothing is counted yet: Begin does. It returns fault.NotFound when the link is not there, has
// expired, is used up, or its file is not there, ErrLinkPassword, and fault.RateLimited after too many wrong passwords.
func (s *Service) OpenLink(ctx context.Context, token string, password *string) (*Shared, error) {
	hash, ok := hashOf(token)
	if !ok {
		return nil, errNoLink()
	}
	var l Link
	look := func() (f File, err error) {
		err = s.catalog.Read(ctx, func(tx ReadTx) error {
			l, f, err = s.linked(ctx, tx, func() (Link, error) { return tx.LinkByHash(ctx, hash) })
			return err
		})
		return f, err
	}
	if _, err := look(); err != nil {
		return nil, fmt.Errorf("look up link: %w", err)
	}
	if l.Password != "" {
		if password == nil {
			return nil, ErrLinkPassword
		}
		if err := s.checkLinkPassword(ctx, l, *password); err != nil {
			return nil, err
		}
	}
	c, err := s.open(ctx, s.openLater, look)
	if err != nil {
		return nil, err
	}
	return &Shared{Content: c, link: l}, nil
}

// Counted reports whether the link allows a number of downloads only.
func (c *Shared) Counted() bool { return c.link.MaxDownloads > 0 }

// linked is a live link and its file.
func (s *Service) linked(ctx context.Context, tx ReadTx, find func() (Link, error)) (Link, File, error) {
	l, err := find()
	if err != nil {
		return Link{}, File{}, errNoLinkInstead(err)
	}
	now := s.now()
	if !l.alive(now) {
		return Link{}, File{}, errNoLink()
	}
	f, err := tx.File(ctx, l.File)
	if err != nil {
		return Link{}, File{}, errNoLinkInstead(err)
	}
	o, err := tx.Owner(ctx, l.Owner)
	if err != nil {
		return Link{}, File{}, err
	}
	barred, err := s.opts.Barred(l.Owner)
	if err != nil {
		return Link{}, File{}, err
	}
	if f.Owner != l.Owner || !f.visible(now) || !o.ErasedAt.IsZero() || barred {
		return Link{}, File{}, errNoLink()
	}
	return l, f, nil
}

// Begin counts one download and lets it begin: of parallel ones no more begin than the link allows. The context it returns
// ends, with fault.NotFound as its cause, when the link, the file or the owner is gone; call done when the download is over.
func (c *Shared) Begin(ctx context.Context) (under context.Context, done func(), err error) {
	s := c.service
	var since int64
	err = s.catalog.Write(ctx, func(tx Tx) error {
		l, _, err := s.linked(ctx, tx, func() (Link, error) { return tx.Link(ctx, c.link.ID) })
		if err != nil {
			return err
		}
		if _, since, err = tx.EventRange(ctx); err != nil {
			return err
		}
		l.Downloads++
		return tx.UpdateLink(ctx, l)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("begin download: %w", err)
	}
	under, done = s.links.watch(ctx, c.link, since)
	return under, done, nil
}
