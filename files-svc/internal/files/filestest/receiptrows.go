package filestest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

type receiptKey struct {
	owner files.OwnerID
	key   files.Digest
}

func keyOf(r files.Receipt) receiptKey { return receiptKey{r.Owner, r.Key} }

func (s *state) Receipt(_ context.Context, owner files.OwnerID, key files.Digest) (files.Receipt, error) {
	return get(s.receipts, receiptKey{owner, key})
}

func (s *state) SaveReceipt(_ context.Context, r files.Receipt) error {
	s.receipts[keyOf(r)] = r
	return nil
}

// oldReceipts is every receipt for which ok holds, the oldest first.
func (s *state) oldReceipts(ok func(files.Receipt) bool) []files.Receipt {
	found := slices.DeleteFunc(slices.Collect(maps.Values(s.receipts)), func(r files.Receipt) bool { return !ok(r) })
	slices.SortFunc(found, func(a, b files.Receipt) int {
		return cmp.Or(a.At.Compare(b.At), slices.Compare(a.Key[:], b.Key[:]))
	})
	return found
}

func (s *state) KeepReceipts(_ context.Context, owner files.OwnerID, keep int, removed func(int64)) error {
	all := s.oldReceipts(func(r files.Receipt) bool { return r.Owner == owner })
	old := all[:max(0, len(all)-keep)]
	for _, r := range old {
		delete(s.receipts, keyOf(r))
	}
	removed(int64(len(old)))
	return nil
}

func (s *state) TrimReceipts(_ context.Context, until time.Time, limit int) (int64, error) {
	old := s.oldReceipts(func(r files.Receipt) bool { return !r.At.After(until) })
	old = old[:min(limit, len(old))]
	for _, r := range old {
		delete(s.receipts, keyOf(r))
	}
	return int64(len(old)), nil
}
