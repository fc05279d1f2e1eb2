package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"io"
	"slices"

	"cloakroom.dev/libs/fault"
)

// maxParts bounds how many uploads are joined at once.
const maxParts = 256

// JoinUploads makes one file of parts, in their order, and returns the upload that has become it. The parts are used up;
// asked again for the same parts, it returns the same upload. It refuses like Create, with fault.NotFound for a part that
// is not there or not the caller's, and with fault.Invalid for one that is no part, not whole, or named twice.
func (s *Service) JoinUploads(ctx context.Context, owner OwnerID, n NewUpload, ids []UploadID) (Upload, error) {
	if bad := CheckParts(ids); bad != nil {
		return Upload{}, bad
	}
	if err := s.allow(ctx, owner, "create"); err != nil {
		return Upload{}, err
	}
	for _, id := range slices.Sorted(slices.Values(ids)) { // in one order, whoever joins them
		release, err := s.takeUpload(ctx, owner, id, nil)
		if err != nil {
			return Upload{}, err
		}
		defer release()
	}
	parts, done, err := s.parts(ctx, owner, ids)
	if err != nil || done != nil {
		return deref(done), err
	}
	n.File.Size = 0
	for _, p := range parts {
		n.File.Size += p.Offset
	}
	up, err := s.newUpload(ctx, owner, n)
	if err != nil {
		return Upload{}, err
	}
	up.Joins = ids
	if err := s.insertUpload(ctx, up); err != nil {
		return Upload{}, fmt.Errorf("create joined upload: %w", err)
	}
	if err = s.join(ctx, &up, parts); err == nil {
		err = s.finishUpload(ctx, &up)
	}
	if err != nil { // whoever asks again has it copied again: what was copied counts in no quota, and must not stay
		if !errors.As(err, new(stopped)) {
			s.dropJoined(ctx, up.ID)
		}
		return Upload{}, err
	}
	return up, nil
}

// dropJoined forgets an upload whose joining has failed, unless its commit has succeeded after all. Its maker has not been
// told of it. When it can't be forgotten now, it expires.
func (s *Service) dropJoined(ctx context.Context, id UploadID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	if err := s.dropUpload(ctx, id, func(now Upload) bool { return now.State == UploadOpen }); err != nil {
		s.log.WarnContext(ctx, "an upload that could not be joined stays until it expires", "upload", id, "error", err.Error())
	}
}

func deref(up *Upload) Upload {
	if up == nil {
		return Upload{}
	}
	return *up
}

// CheckParts refuses the lists of parts that JoinUploads would refuse.
func CheckParts(ids []UploadID) error {
	bad := func(code, detail string) error {
		return fault.Validation(fault.Field{Field: "Upload-Concat", Code: code, Detail: detail})
	}
	seen := map[UploadID]bool{}
	for _, id := range ids {
		if seen[id] {
			return bad("DUPLICATE", "a part can be used once")
		}
		seen[id] = true
	}
	switch {
	case len(ids) == 0:
		return bad("REQUIRED", "name the parts")
	case len(ids) > maxParts:
		return bad("TOO_MANY", fmt.Sprintf("at most %d parts", maxParts))
	default:
		return nil
	}
}

// parts finds the parts; or, when exactly these have been joined before, what they have become.
func (s *Service) parts(ctx context.Context, owner OwnerID, ids []UploadID) (parts []Upload, done *Upload, err error) {
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		parts = nil // of a former run: the file would have them twice
		for _, id := range ids {
			p, err := s.ownUpload(ctx, tx, owner, id)
			if err != nil {
				return err
			}
			parts = append(parts, p)
		}
		if parts[0].State != UploadJoined {
			return checkWholeParts(parts)
		}
		into, err := s.ownUpload(ctx, tx, owner, parts[0].Into)
		if err == nil && !slices.Equal(into.Joins, ids) {
			return checkWholeParts(parts)
		}
		done = &into
		return err
	})
	return parts, done, err
}

func checkWholeParts(parts []Upload) error {
	for _, p := range parts {
		if !p.Part || p.State != UploadDone {
			return fault.Validation(fault.Field{
				Field: "Upload-Concat", Code: "INVALID", Detail: "each must be a partial upload that is whole and not used yet",
			})
		}
	}
	return nil
}

// join copies the parts behind one another, and makes that durable.
func (s *Service) join(ctx context.Context, up *Upload, parts []Upload) error {
	sink, err := s.blobs.AppendPartial(ctx, up.partial())
	if err != nil {
		return fmt.Errorf("begin joined upload: %w", err)
	}
	defer sink.Close()
	a := appending{s: s, up: *up, sink: sink, hash: sha256.New(), savedAt: s.opts.Now()}
	buf := s.inbound.take()
	defer buf.release()
	for _, p := range parts {
		if err := a.joinPart(ctx, p, buf); err != nil {
			return fmt.Errorf("join part: %w", err)
		}
	}
	if _, ok := a.hash.(encoding.BinaryMarshaler); !ok || a.fresh != up.Length {
		return fmt.Errorf("joined %d bytes of %d", a.fresh, up.Length)
	}
	err = a.save(ctx, true)
	*up = a.up
	return err
}

// joinPart copies one part. Its bytes must still be those that were acknowledged: the digest of the whole is made of what
// is read here, so a bit that the disk has changed since would be vouched for ever after.
func (a *appending) joinPart(ctx context.Context, p Upload, buf *buffer) error {
	if p.Offset == 0 { // a store need not keep anything of it
		return nil
	}
	announced, err := resumeHash(p.Hash)
	if err != nil {
		return err
	}
	read := sha256.New()
	src, err := a.s.blobs.OpenPartial(ctx, p.partial())
	if err != nil {
		return a.s.lostPartial(ctx, p, err)
	}
	defer src.Close()
	for left := p.Offset; left > 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		began := a.s.opts.Now()
		piece := buf.bytes()[:min(left, int64(len(buf.bytes())))]
		if _, err := io.ReadFull(src, piece); err != nil {
			return fmt.Errorf("read part: %w", err)
		}
		a.hash.Write(piece)
		read.Write(piece)
		if _, err := a.sink.Write(piece); err != nil {
			return fmt.Errorf("write joined upload: %w", err)
		}
		a.fresh += int64(len(piece))
		left -= int64(len(piece))
		buf.adapt(true, a.s.opts.Now().Sub(began))
	}
	if !bytes.Equal(read.Sum(nil), announced.Sum(nil)) {
		return a.s.damagedPart(ctx, p)
	}
	return nil
}

// damagedPart forgets a part whose bytes have changed: nobody can mend it but its maker, by sending it again. The caller
// holds its lock.
func (s *Service) damagedPart(ctx context.Context, p Upload) error {
	s.opts.Meter.Corrupt()
	s.log.ErrorContext(ctx, "bytes of an upload are damaged", "upload", p.ID, "size", p.Offset)
	if err := s.dropUpload(ctx, p.ID, func(now Upload) bool { return now.Revision == p.Revision }); err != nil {
		return err
	}
	return errDamaged
}

// consumeParts turns what the parts reserve over to the file they become.
func (s *Service) consumeParts(ctx context.Context, tx Tx, o *Owner, up Upload) error {
	for _, id := range up.Joins {
		p, err := s.ownUpload(ctx, tx, up.Owner, id)
		if err != nil {
			return err
		}
		if err := checkWholeParts([]Upload{p}); err != nil {
			return err
		}
		o.Reserved -= p.Reserved
		p.State, p.Into, p.Reserved = UploadJoined, up.ID, 0
		p.Revision++
		if err := tx.UpdateUpload(ctx, p); err != nil {
			return err
		}
	}
	return nil
}
