package identity

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
)

// Checkpoint is a signature over the chain up to a row. The chain alone shows a row that was changed or taken out; the
// signature shows a chain that was written anew by somebody who could write to the store but did not have the key.
type Checkpoint struct {
	Seq       int64
	At        time.Time
	Hash      [32]byte // of the row Seq
	KeyID     string
	Signature []byte
}

// Notary signs checkpoints with a key that is not in the store.
type Notary interface {
	Sign(message []byte) (keyID string, signature []byte)
	// Verify reports whether a key of ours, present or former, made the signature.
	Verify(keyID string, message, signature []byte) bool
}

// Checkpoints keeps the signatures.
type Checkpoints interface {
	// LastCheckpoint finds the newest. It returns fault.NotFound.
	LastCheckpoint(ctx context.Context) (Checkpoint, error)
	InsertCheckpoint(ctx context.Context, c Checkpoint) error
	// Checkpoints lists those after a row's number, in order.
	Checkpoints(ctx context.Context, after int64, limit int) ([]Checkpoint, error)
}

func (c Checkpoint) message() []byte {
	b := binary.BigEndian.AppendUint64([]byte("cloakroom audit checkpoint v1"), uint64(c.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(c.At.UnixMicro()))
	return append(b, c.Hash[:]...)
}

// checkpoint signs the end of the chain, unless nothing was added since the last time. The log line carries it out of
// reach of whoever can write to the store: it is what `audit verify --head` takes.
func (s *Service) checkpoint(ctx context.Context) error {
	if s.opts.Notary == nil {
		return nil
	}
	var c Checkpoint
	err := s.store.InTx(ctx, func(tx Tx) error {
		c = Checkpoint{}
		seq, hash, err := tx.AuditHead(ctx)
		if err != nil || seq == 0 {
			return err
		}
		last, err := tx.LastCheckpoint(ctx)
		if err != nil && !errors.Is(err, fault.Of(fault.NotFound)) {
			return err
		}
		if last.Seq >= seq {
			return nil
		}
		c = Checkpoint{Seq: seq, At: tx.Now(), Hash: hash}
		c.KeyID, c.Signature = s.opts.Notary.Sign(c.message())
		return tx.InsertCheckpoint(ctx, c)
	})
	if err != nil {
		return fmt.Errorf("sign the audit trail: %w", err)
	}
	if c.Seq > 0 {
		s.opts.Log.InfoContext(ctx, "audit trail signed", "head", fmt.Sprintf("%d:%s", c.Seq, hex.EncodeToString(c.Hash[:])))
	}
	return nil
}
