package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"cloakroom.dev/libs/fault"
)

// UnknownSize is the declared size of a content whose length nobody has said.
const UnknownSize = -1

// SmallBytes is the size up to which an upload has no row of its own before its commit: its writer's epoch stands for
// it, and no more than this much is received before quota is looked at.
const SmallBytes = 1 << 20

// reserveStep is how much more a content of unknown size may bring before its reservation grows to what it has brought.
const reserveStep = 32 << 20

// cleanUpTime bounds what is done for an upload whose own context may have ended.
const cleanUpTime = 10 * time.Second

// upload is one content on its way into the store. Its life: begin, receive, keep, settle; end in any case.
type upload struct {
	s        *Service
	owner    OwnerID
	action   string    // the right it needs, asked again in the commit
	declared int64     // size, or UnknownSize
	expected *Digest   // or nil
	born     time.Time // when a file that was elsewhere before was made there; else zero
	claimed  File      // the file whose bytes the commit will free: they need no reservation
	writer   *writer   // whose epoch stands for it
	id       BlobID    // set by begin
	sink     BlobSink  // set by begin
	hash     hash.Hash
	size     int64 // received so far
	digest   Digest
	hasRow   bool  // a pending row is durable
	reserved int64 // what the row reserves
	nextRow  int64 // at which size the row is written or grows
	flaw     Flaw  // what the scanner found
	kept     bool  // bytes are durable under id
	unsure   bool  // the store has failed to make them durable: they may come yet
	stopped  bool  // Options.At has ended the upload: as after a crash, nothing is cleaned up
}

func (u *upload) at(step string) error {
	err := u.s.opts.At(step)
	u.stopped = u.stopped || err != nil
	return err
}

// begin takes an id, writes the row of an upload that is declared large, and opens the sink.
func (u *upload) begin(ctx context.Context) (err error) {
	s := u.s
	if u.writer, err = s.currentWriter(ctx); err != nil {
		return err
	}
	u.id, u.hash, u.nextRow = u.writer.begin(), sha256.New(), SmallBytes
	if u.declared > SmallBytes {
		if err := u.reserve(ctx, u.declared); err != nil {
			return err
		}
	}
	if u.sink, err = s.blobs.Create(ctx, u.id); err != nil {
		return fmt.Errorf("begin blob: %w", err)
	}
	return nil
}

// reserve makes the intent durable: a pending row that holds size bytes of the owner's quota.
func (u *upload) reserve(ctx context.Context, size int64) error {
	s := u.s
	hold := max(0, size-u.claimed.Size)
	known := u.hasRow
	more := int64(reserveStep)
	written := false
	err := s.catalog.Write(ctx, func(tx Tx) error {
		written = false
		o, err := u.account(ctx, tx)
		if err != nil {
			return err
		}
		row := Blob{ID: u.id, Owner: u.owner, State: BlobPending, Reserved: hold, ChangedAt: s.now()}
		o.Reserved += hold - u.reserved
		if err := s.checkQuota(o, hold); err != nil {
			return err
		}
		if u.action == "create" {
			if err := s.checkNewFile(o); err != nil {
				return err
			}
		}
		if quota := s.opts.Policy().QuotaBytes; quota > 0 {
			more = max(0, min(reserveStep, quota-o.Bytes-o.Reserved)) // look again no later than when it is used up
		}
		if known {
			err = tx.UpdateBlob(ctx, row, BlobPending)
		} else {
			err = tx.InsertBlob(ctx, row)
		}
		if err != nil {
			return err
		}
		err = tx.SaveOwner(ctx, o)
		written = err == nil
		return err
	})
	if err != nil {
		if written { // the commit's answer was lost: the row may be there, and only the reaper looks
			u.writer.leave(u.id)
		}
		return fmt.Errorf("reserve quota: %w", asFenced(err))
	}
	u.hasRow, u.reserved = true, hold
	u.nextRow = size + more
	if known {
		return nil
	}
	return u.at(StepIntent)
}

// account is the owner's account, if the upload may still be stored for them by this writer.
func (u *upload) account(ctx context.Context, tx Tx) (Owner, error) {
	epoch, err := tx.Epoch(ctx, u.writer.epoch)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)), err == nil && epoch.State != EpochOpen:
		return Owner{}, errFenced()
	case err != nil:
		return Owner{}, err
	}
	o, err := tx.Owner(ctx, u.owner)
	if err == nil && !o.ErasedAt.IsZero() {
		return Owner{}, fault.New(fault.Forbidden, "the account is closed")
	}
	return o, err
}

// checkQuota refuses what would bring the owner's sum, with everything reserved, over the quota. It never refuses what
// does not grow, so that an owner over a lowered quota can still put smaller files in the place of larger ones.
func (s *Service) checkQuota(o Owner, growth int64) error {
	quota := s.opts.Policy().QuotaBytes
	if quota > 0 && growth > 0 && o.Bytes+o.Reserved > quota {
		return fault.New(fault.QuotaExceeded, "not enough space left in your quota")
	}
	return nil
}

// checkVersions refuses more versions than an owner may have. Like checkQuota it refuses only what grows.
func (s *Service) checkVersions(o Owner, growth int64) error {
	most := s.opts.Policy().MaxVersions
	if most > 0 && growth > 0 && o.Versions > most {
		return fault.New(fault.QuotaExceeded, "you keep as many files as you may, old versions and trash included: delete some")
	}
	return nil
}

// checkNewFile is checkVersions before a file comes: nobody should send gigabytes for nothing.
func (s *Service) checkNewFile(o Owner) error {
	o.Versions++
	return s.checkVersions(o, 1)
}

// asFenced reads a conflict over our own row as what it is: another process has taken us for dead.
func asFenced(err error) error {
	if errors.Is(err, fault.Of(fault.Conflict)) {
		return errFenced()
	}
	return err
}

// receive takes the content in: hashed, written, and measured against every limit while it comes.
func (u *upload) receive(ctx context.Context, content io.Reader) error {
	s := u.s
	limit := s.opts.Policy().MaxObjectBytes
	buf := s.inbound.take()
	defer buf.release()
	for done := false; !done; {
		began := s.opts.Now()
		n, err := fill(content, buf.bytes())
		switch {
		case errors.Is(err, io.EOF):
			done = true
		case err != nil:
			return sourceFault(ctx, err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if err := u.take(ctx, buf.bytes()[:n], limit); err != nil {
			return err
		}
		buf.adapt(!done, s.opts.Now().Sub(began))
	}
	return u.check()
}

// take is one chunk of receive.
func (u *upload) take(ctx context.Context, chunk []byte, limit int64) error {
	u.size += int64(len(chunk))
	switch {
	case u.declared >= 0 && u.size > u.declared:
		return fault.New(fault.Invalid, "the content is longer than was declared")
	case limit > 0 && u.size > limit:
		return Policy{MaxObjectBytes: limit}.checkSize(u.size)
	case u.declared < 0 && u.size > u.nextRow:
		if err := u.reserve(ctx, u.size); err != nil {
			return err
		}
	}
	u.hash.Write(chunk)
	if _, err := u.sink.Write(chunk); err != nil {
		return fmt.Errorf("write blob: %w", err)
	}
	return u.at(StepChunk)
}

// check compares what came with what was announced, before anything is made durable.
func (u *upload) check() error {
	u.hash.Sum(u.digest[:0])
	switch {
	case u.declared >= 0 && u.size != u.declared:
		return fault.New(fault.Invalid, "the content ended before its declared length")
	case u.expected != nil && *u.expected != u.digest:
		return fault.New(fault.DigestMismatch, "the content does not have the digest that was announced")
	default:
		return u.at(StepReceived)
	}
}

// keep makes the bytes durable under the blob's id.
func (u *upload) keep(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := u.sink.Commit(ctx); err != nil {
		u.unsure = true
		return fmt.Errorf("make blob durable: %w", err)
	}
	u.kept = true
	return u.at(StepDurable)
}

// fill reads until buf is full or content has ended, so that short reads cost no short writes.
func fill(content io.Reader, buf []byte) (n int, err error) {
	for idle := 0; n < len(buf) && err == nil; {
		var more int
		more, err = content.Read(buf[n:])
		if more < 0 || more > len(buf)-n {
			return n, errors.New("reader returned an impossible count")
		}
		if n += more; more > 0 {
			idle = 0
		} else if idle++; idle > 100 && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

// sourceFault says what the failure of a content's reader means: the client's, unless it is a fault already or the
// request has been ended from our side.
func sourceFault(ctx context.Context, err error) error {
	var known *fault.Error
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fault.Wrap(fault.Timeout, "the content took too long to arrive", err)
	default:
		return fault.Wrap(fault.Invalid, "the content could not be read to its end", err)
	}
}
