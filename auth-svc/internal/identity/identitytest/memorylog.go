package identitytest

import (
	"context"
	"maps"
	"slices"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
)

func (tx *memoryTx) AppendRevocation(_ context.Context, r identity.Revocation) (int64, error) {
	r.Seq = tx.head + 1
	if err := assign(tx, &tx.log, append(slices.Clip(tx.log), r)); err != nil {
		return 0, err
	}
	return r.Seq, assign(tx, &tx.head, r.Seq)
}

func (tx *memoryTx) RevocationHead(context.Context) (int64, error) { return tx.head, nil }

func (tx *memoryTx) Revocations(_ context.Context, after int64, limit int) (out []identity.Revocation, _ error) {
	for _, r := range tx.log {
		if len(out) < limit && r.Seq > after && tx.at.Before(r.Until) {
			if r.Kind == identity.KindUserEpoch {
				r.Status = tx.users[r.ID].Status
			}
			out = append(out, r)
		}
	}
	return out, nil
}

func (tx *memoryTx) UntoldBlocks(_ context.Context, until time.Time, limit int) (ids []string, _ error) {
	for _, id := range slices.Sorted(maps.Keys(tx.users)) {
		told := slices.ContainsFunc(tx.log, func(r identity.Revocation) bool {
			return r.Kind == identity.KindUserEpoch && r.ID == id && r.Until.After(until)
		})
		if tx.users[id].Status == identity.Blocked && !told && len(ids) < limit {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (tx *memoryTx) SweepRevocations(_ context.Context, limit int) (n int, _ error) {
	left := slices.DeleteFunc(slices.Clone(tx.log), func(r identity.Revocation) bool {
		if n == limit || tx.at.Before(r.Until) {
			return false
		}
		n++
		return true
	})
	return n, assign(tx, &tx.log, left)
}

func (tx *memoryTx) AuditHead(context.Context) (seq int64, hash [32]byte, _ error) {
	if n := len(tx.audit); n > 0 {
		return tx.audit[n-1].Seq, tx.audit[n-1].Hash, nil
	}
	return 0, hash, nil
}

func (tx *memoryTx) InsertAudit(_ context.Context, row identity.AuditRow) error {
	if n := len(tx.audit); n > 0 && tx.audit[n-1].Seq >= row.Seq {
		return errMoved
	}
	return assign(tx, &tx.audit, append(slices.Clip(tx.audit), row))
}

func (tx *memoryTx) AuditRows(_ context.Context, after int64, limit int) (out []identity.AuditRow, _ error) {
	for _, r := range tx.audit {
		if len(out) < limit && r.Seq > after {
			out = append(out, r)
		}
	}
	return out, nil
}

func (tx *memoryTx) Bootstrapped(context.Context) (bool, error) { return len(tx.bootstrap) > 0, nil }

func (tx *memoryTx) InsertBootstrap(_ context.Context, hash [32]byte) error {
	if len(tx.bootstrap) > 0 {
		return errMoved
	}
	return put(tx, tx.bootstrap, hash, true)
}

func (tx *memoryTx) SpendBootstrapToken(_ context.Context, hash [32]byte) (bool, error) {
	if !tx.bootstrap[hash] {
		return false, nil
	}
	return true, put(tx, tx.bootstrap, hash, false)
}
