package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"cloakroom.dev/libs/fault"
)

const (
	// saveBytes and saveEvery are how much of a long chunk may be lost in a crash: then the client sends it again.
	saveBytes = 32 << 20
	saveEvery = time.Second
	// growStep is how far ahead an upload of unknown length reserves quota.
	growStep = 8 << 20
)

// Chunk is a run of bytes for an upload.
type Chunk struct {
	Offset  int64 // where it begins; must be where the upload stands
	Size    int64 // as declared, or UnknownSize
	Content io.Reader
	// Length is what the client says now about the length of the whole; nil: nothing.
	Length *int64
	// Last says that the upload ends with this chunk; else it ends where its length is known and reached, if AtLength.
	Last, AtLength bool
	// Sum is what Check must come to over the chunk; nil: no checksum. Then the chunk counts whole or not at all.
	Check hash.Hash
	Sum   []byte
	// Interrupt ends the context of the call and whatever read of Content is blocked. It is called when a later request
	// takes the upload over.
	Interrupt func(cause error)
	// Saved is told each offset that has become durable; nil: nobody listens.
	Saved func(offset int64)
}

// AppendUpload adds a chunk and returns the upload as it is then: open, or done when the chunk was the last. When the
// chunk breaks off, what came of it is durable all the same and counts, unless it has a checksum.
//
// It refuses with an *OffsetError, ErrUploadComplete, ErrUploadLength, ErrUploadOverrun, ErrChecksum, and like StatUpload
// and Create. An empty chunk at the end of an upload that is done is no error: it asks for the answer again.
func (s *Service) AppendUpload(ctx context.Context, owner OwnerID, id UploadID, c Chunk) (Upload, error) {
	if err := s.allow(ctx, owner, "create"); err != nil {
		return Upload{}, err
	}
	release, err := s.takeUpload(ctx, owner, id, c.Interrupt)
	if err != nil {
		return Upload{}, err
	}
	defer release()
	a := appending{s: s, c: c}
	if err := a.claim(ctx, owner, id); err != nil {
		return Upload{}, err
	}
	if a.up.State != UploadOpen {
		return a.up, nil
	}
	if err := a.receive(ctx); err != nil {
		return a.up, err
	}
	if a.up.Sealed && !a.up.Part {
		if err := s.finishUpload(ctx, &a.up); err != nil {
			return a.up, err
		}
	}
	return a.up, nil
}

// appending is one chunk on its way in.
type appending struct {
	s       *Service
	c       Chunk
	up      Upload // as its row is
	sink    PartialSink
	hash    hash.Hash
	fresh   int64 // bytes written behind up.Offset
	broken  bool  // the sink has failed: what it was given since the last save is lost
	savedAt time.Time
}

// claim checks the chunk against the row and raises its revision, so that an older writer, of another process too, can't
// save any more. A length that becomes known here is reserved here.
func (a *appending) claim(ctx context.Context, owner OwnerID, id UploadID) error {
	s := a.s
	err := s.catalog.Write(ctx, func(tx Tx) error {
		up, err := s.ownUpload(ctx, tx, owner, id)
		if err != nil {
			return err
		}
		if err := a.judge(&up); err != nil || up.State != UploadOpen {
			a.up = up
			return err
		}
		if err := s.growReserve(ctx, tx, &up, max(up.Reserved, up.Length)); err != nil {
			return err
		}
		up.ExpiresAt = s.now().Add(s.uploadExpiry())
		up.Revision++
		a.up = up
		return tx.UpdateUpload(ctx, up)
	})
	if err != nil {
		return fmt.Errorf("claim upload: %w", err)
	}
	return nil
}

// judge refuses a chunk that can't follow what is there, before a byte of it is read.
func (a *appending) judge(up *Upload) error {
	switch {
	case len(up.Joins) > 0:
		return fault.New(fault.Forbidden, "an upload that is joined of parts takes no bytes")
	case a.c.Offset != up.Offset:
		return &OffsetError{Offset: up.Offset, Asked: a.c.Offset}
	case up.State != UploadOpen || up.Sealed:
		if a.c.Size != 0 {
			return ErrUploadComplete
		}
		return a.learn(up)
	default:
		return a.learn(up)
	}
}

// learn takes in what the chunk says about the length of the whole.
func (a *appending) learn(up *Upload) error {
	for _, length := range []*int64{a.c.Length, a.total()} {
		switch {
		case length == nil:
		case up.Length >= 0 && *length != up.Length, *length < up.Offset:
			return ErrUploadLength
		default:
			up.Length = *length
		}
	}
	if up.Length >= 0 && a.c.Size > up.Length-up.Offset {
		return ErrUploadOverrun
	}
	policy := a.s.opts.Policy()
	return policy.checkSize(max(up.Length, up.Offset+max(0, a.c.Size)))
}

// total is the length of the whole that a last chunk of declared size implies.
func (a *appending) total() *int64 {
	if !a.c.Last || a.c.Size < 0 {
		return nil
	}
	total := a.c.Offset + a.c.Size
	return &total
}

// growReserve brings what an upload reserves to want bytes.
func (s *Service) growReserve(ctx context.Context, tx Tx, up *Upload, want int64) error {
	o, err := openAccount(ctx, tx, up.Owner)
	if err != nil || want <= up.Reserved {
		return err
	}
	o.Reserved += want - up.Reserved
	if err := s.checkQuota(o, want-up.Reserved); err != nil {
		return err
	}
	up.Reserved = want
	return tx.SaveOwner(ctx, o)
}

// receive takes the chunk in and makes durable what came of it, however it ended.
func (a *appending) receive(ctx context.Context) (err error) {
	if a.sink, err = a.s.blobs.AppendPartial(ctx, a.up.partial()); err != nil {
		return a.s.lostPartial(ctx, a.up, err)
	}
	defer a.sink.Close()
	if a.hash, err = resumeHash(a.up.Hash); err != nil {
		return err
	}
	a.savedAt = a.s.opts.Now()
	err = a.copy(ctx)
	switch {
	case a.broken, errors.As(err, new(stopped)), errors.Is(err, ErrUploadOverrun): // overrun: the client's count is wrong
		return err
	case a.c.Sum != nil && err != nil: // what can't be checked is not kept
		return err
	case a.c.Sum != nil && !bytes.Equal(a.c.Check.Sum(nil), a.c.Sum):
		return ErrChecksum
	}
	if saveErr := a.save(ctx, err == nil && a.c.Last); saveErr != nil {
		return errors.Join(saveErr, err)
	}
	return err
}

// copy reads the chunk to its end.
func (a *appending) copy(ctx context.Context) error {
	buf := a.s.inbound.take()
	defer buf.release()
	for {
		began := a.s.opts.Now()
		n, err := fill(a.c.Content, buf.bytes())
		if takeErr := a.take(ctx, buf.bytes()[:n]); takeErr != nil {
			return takeErr
		}
		switch {
		case errors.Is(err, io.EOF):
			return a.whole()
		case err != nil:
			return sourceFault(ctx, err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		buf.adapt(true, a.s.opts.Now().Sub(began))
	}
}

// whole checks, at the end of a last chunk, that the whole has its length.
func (a *appending) whole() error {
	if a.c.Last && a.up.Length >= 0 && a.up.Offset+a.fresh != a.up.Length {
		return ErrUploadLength
	}
	return nil
}

// take is one buffer of copy.
func (a *appending) take(ctx context.Context, piece []byte) error {
	if len(piece) == 0 {
		return nil
	}
	end := a.up.Offset + a.fresh + int64(len(piece))
	if a.up.Length >= 0 && end > a.up.Length {
		return ErrUploadOverrun
	}
	if err := a.s.opts.Policy().checkSize(end); err != nil {
		return err
	}
	if err := a.room(ctx, end); err != nil {
		return err
	}
	a.hash.Write(piece)
	if a.c.Sum != nil {
		a.c.Check.Write(piece)
	}
	if _, err := a.sink.Write(piece); err != nil {
		a.broken = true
		return fmt.Errorf("write upload: %w", err)
	}
	a.fresh += int64(len(piece))
	if err := a.s.at(StepUploadWritten); err != nil {
		return err
	}
	if a.c.Sum == nil && (a.fresh >= saveBytes || a.s.opts.Now().Sub(a.savedAt) >= saveEvery) {
		return a.save(ctx, false)
	}
	return nil
}

// room reserves quota ahead of an upload whose length nobody has said.
func (a *appending) room(ctx context.Context, end int64) error {
	if end <= a.up.Reserved {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime) // the bytes are here, whoever has gone
	defer cancel()
	grow := func(want int64) error {
		return a.update(ctx, func(tx Tx, next *Upload) error { return a.s.growReserve(ctx, tx, next, want) })
	}
	err := grow(end + growStep)
	if errors.Is(err, fault.Of(fault.QuotaExceeded)) {
		err = grow(end)
	}
	return err
}

// save makes what has been written durable, and then says so in the row: the offset that HEAD tells is never ahead of
// the bytes. It does so although the request may have ended: that is when it matters most.
func (a *appending) save(ctx context.Context, sealed bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	a.savedAt = a.s.opts.Now()
	sealed = sealed || a.c.AtLength && a.up.Length == a.up.Offset+a.fresh
	if a.fresh == 0 && !sealed {
		return nil
	}
	a.broken = true // until all of it has succeeded: a failed sync is never tried again
	parts, err := a.sink.Sync(ctx)
	if err != nil {
		return fmt.Errorf("make upload durable: %w", err)
	}
	if err := a.s.at(StepUploadSynced); err != nil {
		return err
	}
	state, err := a.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return fmt.Errorf("keep hash: %w", err)
	}
	err = a.update(ctx, func(_ Tx, next *Upload) error {
		next.Offset += a.fresh
		next.Hash, next.Parts, next.Sealed = state, parts, sealed
		if sealed {
			next.Length = next.Offset
		}
		if sealed && next.Part {
			next.State = UploadDone
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.fresh, a.broken = 0, false
	if a.c.Saved != nil {
		a.c.Saved(a.up.Offset)
	}
	return a.s.at(StepUploadSaved)
}

// update changes the row, if it is still the one this writer knows.
func (a *appending) update(ctx context.Context, fn func(tx Tx, next *Upload) error) error {
	var next Upload
	err := a.s.catalog.Write(ctx, func(tx Tx) error {
		next = a.up
		next.ExpiresAt = a.s.now().Add(a.s.uploadExpiry())
		next.Revision++
		if err := fn(tx, &next); err != nil {
			return err
		}
		return tx.UpdateUpload(ctx, next)
	})
	if errors.Is(err, fault.Of(fault.Conflict)) {
		return errTakenOver
	}
	if err != nil {
		return fmt.Errorf("save upload: %w", err)
	}
	a.up = next
	return nil
}

// resumeHash goes on where the durable bytes end.
func resumeHash(state []byte) (hash.Hash, error) {
	h := sha256.New()
	if len(state) == 0 {
		return h, nil
	}
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		return nil, fmt.Errorf("resume hash: %w", err)
	}
	return h, nil
}

// lostPartial tells bytes that are gone, as after a restore of an older catalog, from a store that is away.
func (s *Service) lostPartial(ctx context.Context, up Upload, err error) error {
	if errors.Is(err, fault.Of(fault.NotFound)) {
		s.log.ErrorContext(ctx, "bytes of an upload are missing", "upload", up.ID, "offset", up.Offset)
		return errExpired
	}
	return fmt.Errorf("open the upload's bytes: %w", err)
}
