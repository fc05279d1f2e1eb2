package files

import (
	"context"
	"errors"
	"fmt"
)

// eraseBatch bounds how long one step of an erasure keeps other writers waiting.
const eraseBatch = 50

// EraseOwner removes everything of a person, for good, and stores nothing for them ever again: uploads under way are
// refused at their commit. It needs no caller in ctx: the revocation log asks for it. It can be repeated.
func (s *Service) EraseOwner(ctx context.Context, owner OwnerID) error {
	if err := s.closeAccount(ctx, owner); err != nil {
		return fmt.Errorf("erase owner: %w", err)
	}
	var errs []error
	for _, part := range []func(context.Context, OwnerID) error{s.eraseUploads, s.eraseFiles, s.forgetImports} {
		if err := part(ctx, owner); err != nil { // what can't be removed now keeps nothing else
			errs = append(errs, fmt.Errorf("erase owner: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) eraseFiles(ctx context.Context, owner OwnerID) error {
	for {
		removed, err := s.removeFiles(ctx, DueQuery{Owner: owner, Limit: eraseBatch})
		if err != nil || removed == 0 {
			return err
		}
	}
}

// closeAccount is the fence of an erasure.
func (s *Service) closeAccount(ctx context.Context, owner OwnerID) error {
	return s.catalog.Write(ctx, func(tx Tx) error {
		o, err := tx.Owner(ctx, owner)
		if err != nil || !o.ErasedAt.IsZero() {
			return err
		}
		o.ErasedAt = s.now()
		if err := tx.SaveOwner(ctx, o); err != nil {
			return err
		}
		if err := tx.KeepReceipts(ctx, owner, 0, func(int64) {}); err != nil { // they hold names
			return err
		}
		return tx.AppendEvent(ctx, Event{Kind: OwnerErased, Owner: owner, At: o.ErasedAt})
	})
}

// removeFiles removes the next files that are due, with all their versions, and returns how many it found.
func (s *Service) removeFiles(ctx context.Context, due DueQuery) (n int, err error) {
	err = s.catalog.Write(ctx, func(tx Tx) error {
		found, err := tx.DueFiles(ctx, due)
		n = len(found)
		if err != nil {
			return err
		}
		return s.eachAccount(ctx, tx, found, func(o *Owner, f File) error { return s.remove(ctx, tx, o, f) })
	})
	return n, err
}

// eachAccount calls fn for each file with its owner's account, and saves the accounts.
func (s *Service) eachAccount(ctx context.Context, tx Tx, found []File, fn func(o *Owner, f File) error) error {
	accounts := map[OwnerID]*Owner{}
	for _, f := range found {
		o := accounts[f.Owner]
		if o == nil {
			read, err := tx.Owner(ctx, f.Owner)
			if err != nil {
				return err
			}
			o = &read
			accounts[f.Owner] = o
		}
		if err := fn(o, f); err != nil {
			return err
		}
	}
	for _, o := range accounts {
		if err := tx.SaveOwner(ctx, *o); err != nil {
			return err
		}
	}
	return nil
}

// LogPosition is the position in the revocation log that SetLogPosition kept last; 0 before.
func (s *Service) LogPosition(ctx context.Context) (seq int64, err error) {
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		seq, err = tx.LogPosition(ctx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read log position: %w", err)
	}
	return seq, nil
}

// SetLogPosition keeps how far the revocation log has been worked off. Call it after EraseOwner has returned.
func (s *Service) SetLogPosition(ctx context.Context, seq int64) error {
	err := s.catalog.Write(ctx, func(tx Tx) error { return tx.SetLogPosition(ctx, seq) })
	if err != nil {
		return fmt.Errorf("keep log position: %w", err)
	}
	return nil
}
