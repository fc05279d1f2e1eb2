package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"cloakroom.dev/libs/fault"
)

// onceRetry is when a request whose twin is under way may come back.
const onceRetry = time.Second

// underWay holds the keyed requests of this process that have not been answered. What another process has under way is
// met in the commit, where one of the two wins; a process that dies leaves nothing behind that could block a key.
type underWay struct {
	mu   sync.Mutex
	keys map[onceKey]struct{}
}

type onceKey struct {
	owner OwnerID
	key   Digest
}

func newUnderWay() *underWay { return &underWay{keys: map[onceKey]struct{}{}} }

func (u *underWay) begin(k onceKey) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, busy := u.keys[k]; busy {
		return fault.Retry(fault.Conflict, "a request with this Idempotency-Key is under way", onceRetry)
	}
	u.keys[k] = struct{}{}
	return nil
}

func (u *underWay) end(k onceKey) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.keys, k)
}

func errKeyReused() error {
	return fault.New(fault.KeyReused, "this Idempotency-Key was used for another request")
}

// repeated ends a commit that finds its request answered: another process was quicker.
type repeated struct{ receipt Receipt }

func (repeated) Error() string { return "the request has been answered" }

// createOnce is Create under a key.
func (s *Service) createOnce(ctx context.Context, owner OwnerID, nf NewFile, content io.Reader) (File, error) {
	if err := s.allow(ctx, owner, "create"); err != nil {
		return File{}, err
	}
	request, err := nf.fingerprint()
	if err != nil {
		return File{}, err
	}
	key := onceKey{owner, sha256.Sum256([]byte(nf.Key))}
	if err := s.once.begin(key); err != nil {
		return File{}, err
	}
	defer s.once.end(key)
	known, err := s.receipt(ctx, key)
	if err != nil {
		return File{}, fmt.Errorf("look for an earlier answer: %w", err)
	}
	if known != nil {
		return s.repeat(ctx, *known, request, nf, content)
	}
	u := upload{s: s, owner: owner, action: "create", declared: nf.Size, expected: nf.Digest}
	early := int64(0)
	f, err := s.create(ctx, &u, nf, content, func(tx Tx, f File) error {
		early = 0 // a commit may be tried again
		return s.remember(ctx, tx, key, request, f, func(n int64) { early = n })
	})
	if err == nil && early > 0 {
		s.opts.Meter.Reaped("receipt_early", int(early))
	}
	var twin repeated
	if !errors.As(err, &twin) {
		return f, err
	}
	return answered(twin.receipt, request, u.digest)
}

// receipt finds the live receipt of a key; nil when there is none.
func (s *Service) receipt(ctx context.Context, key onceKey) (found *Receipt, err error) {
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		found, err = s.liveReceipt(ctx, tx, key)
		return err
	})
	return found, err
}

func (s *Service) liveReceipt(ctx context.Context, tx ReceiptReader, key onceKey) (*Receipt, error) {
	r, err := tx.Receipt(ctx, key.owner, key.key)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)):
		return nil, nil
	case err != nil:
		return nil, err
	case !r.live(s.now()):
		return nil, nil
	default:
		return &r, nil
	}
}

// remember is the part of a commit that makes it the only one under its key.
func (s *Service) remember(ctx context.Context, tx Tx, key onceKey, request Digest, f File, early func(int64)) error {
	known, err := s.liveReceipt(ctx, tx, key)
	if err != nil {
		return err
	}
	if known != nil {
		return repeated{*known}
	}
	answer, err := answerOf(f)
	if err != nil {
		return err
	}
	if err := tx.SaveReceipt(ctx, Receipt{Owner: key.owner, Key: key.key, Request: request, Answer: answer, At: s.now()}); err != nil {
		return err
	}
	return tx.KeepReceipts(ctx, key.owner, maxReceipts, early)
}

// repeat answers a request that was answered before. Its content is read and hashed, for the same key over another
// content must not pass for the same request, and none of it is kept.
func (s *Service) repeat(ctx context.Context, r Receipt, request Digest, nf NewFile, content io.Reader) (File, error) {
	f, err := r.file()
	if err != nil {
		return File{}, err
	}
	otherSize := nf.Size >= 0 && nf.Size != f.Size
	otherDigest := nf.Digest != nil && *nf.Digest != f.SHA256
	if r.Request != request || otherSize || otherDigest {
		return File{}, errKeyReused()
	}
	digest, err := s.digestOf(ctx, content, f.Size)
	if err != nil {
		return File{}, err
	}
	return answered(r, request, digest)
}

// answered is the answer of a receipt to a request with this content.
func answered(r Receipt, request, content Digest) (File, error) {
	f, err := r.file()
	if err == nil && (r.Request != request || f.SHA256 != content) {
		err = errKeyReused()
	}
	if err != nil {
		return File{}, err
	}
	return f, nil
}

// digestOf reads a content that must have size bytes to its end. It stops at the first byte too many.
func (s *Service) digestOf(ctx context.Context, content io.Reader, size int64) (digest Digest, err error) {
	buf := s.inbound.take()
	defer buf.release()
	sum, left := sha256.New(), size
	for done := false; !done; {
		began := s.opts.Now()
		n, err := fill(content, buf.bytes())
		switch {
		case errors.Is(err, io.EOF):
			done = true
		case err != nil:
			return digest, sourceFault(ctx, err)
		case ctx.Err() != nil:
			return digest, context.Cause(ctx)
		}
		if left -= int64(n); left < 0 {
			return digest, errKeyReused()
		}
		sum.Write(buf.bytes()[:n])
		buf.adapt(!done, s.opts.Now().Sub(began))
	}
	sum.Sum(digest[:0])
	return digest, nil
}

// forgetReceipts removes receipts whose time is over.
func (s *Service) forgetReceipts(ctx context.Context) error {
	return s.inBatches(ctx, "receipt", func(tx Tx) (int, error) {
		n, err := tx.TrimReceipts(ctx, s.now().Add(-keepReceipts), reapBatch)
		return int(n), err
	})
}
