package files

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"cloakroom.dev/libs/fault"
)

// NewContent says what is being put in the place of a file's content.
type NewContent struct {
	Name        *string  // of the file from now on; nil: as it was
	ContentType string   // empty: as it was
	Size        int64    // as declared, or UnknownSize
	Digest      *Digest  // expected; nil: none was declared
	IfMatch     []string // entity tags with their quotes, one of which the content must have; {"*"}: any; nil: no condition
}

// Replace stores a new version of a file and returns the file once it is durable. Readers of the old version finish it.
// Of two replaces under one IfMatch one wins, the other gets fault.PreconditionFailed. It refuses like Create, and with
// fault.NotFound when the file is not there or is in the trash.
func (s *Service) Replace(ctx context.Context, owner OwnerID, id FileID, c NewContent, content io.Reader) (f File, err error) {
	u := upload{s: s, owner: owner, action: "update", declared: c.Size, expected: c.Digest}
	defer s.measure(ctx, &u, s.opts.Now(), &err)
	defer func() { s.freeing.giveUp(u.claimed) }()
	if err := s.checkReplace(ctx, owner, id, &c, &u); err != nil {
		return File{}, err
	}
	if err := u.store(ctx, content); err != nil {
		return File{}, err
	}
	defer u.end(ctx)
	err = u.settle(ctx, func(tx Tx, o *Owner) error {
		old, err := s.visibleFile(ctx, tx, owner, id)
		if err != nil {
			return err
		}
		if err := checkMatch(old, c.IfMatch); err != nil {
			return err
		}
		if c.Name != nil {
			old.Name, old.Fold = *c.Name, s.fold(*c.Name)
		}
		f, err = s.nextVersion(ctx, tx, &u, o, old, c.ContentType)
		return err
	})
	if err != nil {
		return File{}, err
	}
	return f, nil
}

// CheckContent refuses the fields that Replace would refuse, as CheckNew does for Create.
func (s *Service) CheckContent(c NewContent) error { return s.normal(&c) }

// normal brings what is said about a new content into the forms that are kept.
func (s *Service) normal(c *NewContent) error {
	var bad fault.Bad
	var more []fault.Field
	if c.Name != nil {
		var name string
		name, more = s.checkName(*c.Name)
		bad.Add(more...)
		c.Name = &name
	}
	if c.ContentType != "" {
		c.ContentType, more = normalContentType(c.ContentType)
		bad.Add(more...)
	}
	return bad.Err()
}

// checkReplace checks all that can be checked before the first byte.
func (s *Service) checkReplace(ctx context.Context, owner OwnerID, id FileID, c *NewContent, u *upload) error {
	if err := s.allow(ctx, owner, "update"); err != nil {
		return err
	}
	policy := s.opts.Policy()
	if err := s.normal(c); err != nil {
		return err
	}
	if c.ContentType != "" {
		if err := policy.checkType(c.ContentType); err != nil {
			return err
		}
	}
	if err := policy.checkSize(c.Size); err != nil {
		return err
	}
	err := s.catalog.Read(ctx, func(tx ReadTx) error {
		old, err := s.visibleFile(ctx, tx, owner, id)
		if err != nil {
			return err
		}
		if err := checkMatch(old, c.IfMatch); err != nil || policy.KeepVersions > 0 {
			return err
		}
		o, err := tx.Owner(ctx, owner)
		if err == nil && s.freeing.claim(old, o.Bytes) {
			u.claimed = old
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("look up the file to replace: %w", err)
	}
	return s.opts.At(StepAuthorized)
}

// visibleFile is the owner's file outside the trash.
func (s *Service) visibleFile(ctx context.Context, tx FileReader, owner OwnerID, id FileID) (File, error) {
	f, err := ownFile(ctx, tx, owner, id)
	if err == nil && !f.visible(s.now()) {
		return File{}, errNoFile()
	}
	return f, err
}

// findFile finds a file of an owner, or is fault.NotFound.
type findFile func(ctx context.Context, tx FileReader, owner OwnerID, id FileID) (File, error)

// ownFile finds a file that is the owner's, in the trash or not.
func ownFile(ctx context.Context, tx FileReader, owner OwnerID, id FileID) (File, error) {
	f, err := tx.File(ctx, id)
	switch {
	case err != nil:
		return File{}, err
	case f.Owner != owner:
		return File{}, errNoFile()
	default:
		return f, nil
	}
}

// checkMatch compares strongly: a weak tag matches nothing.
func checkMatch(f File, ifMatch []string) error {
	if ifMatch == nil {
		return nil
	}
	etag := f.ETag()
	matches := slices.ContainsFunc(ifMatch, func(tag string) bool {
		return tag == "*" || (tag == etag && !strings.HasPrefix(tag, "W/"))
	})
	if !matches {
		return fault.New(fault.PreconditionFailed, "the file has been changed meanwhile")
	}
	return nil
}

// nextVersion moves a file to the content of u and lets go of the versions that are not kept any more.
func (s *Service) nextVersion(ctx context.Context, tx Tx, u *upload, o *Owner, old File, contentType string) (File, error) {
	now := s.now()
	f := u.newContent(old, now)
	f.UpdatedAt = now
	if contentType != "" {
		f.ContentType = contentType
	}
	versions, err := tx.Versions(ctx, f.ID)
	if err != nil {
		return File{}, err
	}
	if err := s.keepVersions(ctx, tx, o, versions, f.Blob); err != nil {
		return File{}, err
	}
	if err := tx.UpdateFile(ctx, f); err != nil {
		return File{}, err
	}
	return f, u.addVersion(ctx, tx, o, f, FileReplaced)
}
