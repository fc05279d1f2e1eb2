package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"cloakroom.dev/libs/fault"
)

// check compares a blob with its row.
func (p *scrub) check(ctx context.Context, row Blob) finding {
	src, err := p.s.blobs.Open(ctx, row.ID, row.Size)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)):
		return finding{row: row, flaw: FlawMissing, err: err}
	case err != nil && fault.KindOf(err) == fault.Internal: // it has another size
		return finding{row: row, flaw: FlawCorrupt, err: err}
	case err != nil:
		return finding{row: row, flaw: unreadable, err: err}
	}
	defer src.Close()
	if p.pass.Quick {
		return marked(row)
	}
	return p.readBack(ctx, row, src)
}

// marked is what is known of a blob that is there with its size: a mark is taken back by who reads all of it.
func marked(row Blob) finding {
	if row.Flaw != FlawCorrupt && row.Flaw != FlawMissing {
		return finding{row: row}
	}
	return finding{row: row, flaw: row.Flaw, err: fmt.Errorf("its row says that it is %s, and it was not read", row.Flaw)}
}

// readBack reads a blob to its end and compares the digest.
func (p *scrub) readBack(ctx context.Context, row Blob, src io.Reader) finding {
	f := finding{row: row}
	hash := sha256.New()
	buf := p.s.scrubbing.take()
	defer buf.release()
	if f.err = p.pace.spend(ctx, lookCost); f.err != nil {
		return f
	}
	for f.read < row.Size {
		n, err := io.ReadFull(src, buf.bytes()[:min(int64(len(buf.bytes())), row.Size-f.read)])
		hash.Write(buf.bytes()[:n])
		f.read += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			f.flaw, f.err = FlawCorrupt, fmt.Errorf("blob ends after %d of %d bytes", f.read, row.Size)
			return f
		case err != nil:
			f.flaw, f.err = unreadable, fmt.Errorf("read blob: %w", err)
			return f
		}
		if f.err = p.pace.spend(ctx, int64(n)); f.err != nil {
			return f
		}
		buf.adapt(true, 0)
	}
	var got Digest
	if hash.Sum(got[:0]); got != row.SHA256 {
		f.flaw, f.err = FlawCorrupt, fmt.Errorf("blob has digest %s, its row says %s", got, row.SHA256)
	}
	return f
}

// keepOne brings a blob's row up to date, if it still lives.
func (p *scrub) keepOne(ctx context.Context, tx BlobReader, f finding, update func(Blob) error) (bool, error) {
	row, err := tx.Blob(ctx, f.row.ID)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)), err == nil && row.State != BlobLive:
		return false, nil
	case err != nil:
		return false, err
	case f.flaw == unreadable: // it stays due
		return true, nil
	}
	row.VerifiedAt = p.s.now()
	if row.Flaw != FlawInfected {
		row.Flaw = f.flaw
	}
	return true, update(row)
}

// fileOf finds the file that has a blob, as it was when it had it last. A blob of no file is no error.
func fileOf(ctx context.Context, tx ReadTx, id BlobID) (File, error) {
	v, err := tx.VersionOf(ctx, id)
	if err == nil {
		var f File
		f, err = tx.File(ctx, v.File)
		f.Version = v.Number
		return f, err
	}
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return File{}, nil
	}
	return File{}, err
}

// keys counts what the store has and no row knows. Keys of uploads under way are among them while a service runs.
func (p *scrub) keys(ctx context.Context) error {
	epochs, err := p.s.blobs.Epochs(ctx)
	if err != nil {
		return fmt.Errorf("list the store: %w", err)
	}
	for _, epoch := range epochs {
		batch := make([]BlobID, 0, reapBatch)
		err := p.s.blobs.Walk(ctx, epoch, 0, func(id BlobID) error {
			if batch = append(batch, id); len(batch) < reapBatch {
				return ctx.Err()
			}
			err := p.countUnknown(ctx, batch)
			batch = batch[:0]
			return err
		})
		if err == nil {
			err = p.countUnknown(ctx, batch)
		}
		if err != nil {
			return fmt.Errorf("walk the store: %w", err)
		}
	}
	return nil
}

func (p *scrub) countUnknown(ctx context.Context, keys []BlobID) error {
	unknown := int64(0)
	err := p.s.catalog.Read(ctx, func(tx ReadTx) error {
		unknown = 0
		for _, id := range keys {
			_, err := tx.Blob(ctx, id)
			if errors.Is(err, fault.Of(fault.NotFound)) {
				unknown++
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	p.report.UnknownKeys += unknown
	return err
}
