package identitytest

import (
	"context"
	"slices"

	"cloakroom.dev/auth-svc/internal/identity"
)

func (tx *memoryTx) FindAudit(_ context.Context, f identity.AuditFilter, before int64, limit int) (out []identity.AuditRow, _ error) {
	for _, r := range slices.Backward(tx.audit) {
		if len(out) < limit && (before == 0 || r.Seq < before) && auditMatches(r, f) {
			out = append(out, r)
		}
	}
	return out, nil
}

func auditMatches(r identity.AuditRow, f identity.AuditFilter) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	user := "user:" + f.UserID
	return is(f.Actor, r.Actor) && is(f.Action, r.Action) && is(f.Target, r.Target) &&
		(f.UserID == "" || r.Actor == user || r.Target == user || r.Subject == f.UserID) &&
		(f.Since.IsZero() || !r.At.Before(f.Since)) && (f.Until.IsZero() || r.At.Before(f.Until))
}

func (tx *memoryTx) LastCheckpoint(context.Context) (identity.Checkpoint, error) {
	if n := len(tx.checkpoints); n > 0 {
		return tx.checkpoints[n-1], nil
	}
	return identity.Checkpoint{}, errNotFound
}

func (tx *memoryTx) InsertCheckpoint(_ context.Context, c identity.Checkpoint) error {
	return assign(tx, &tx.checkpoints, append(slices.Clip(tx.checkpoints), c))
}

func (tx *memoryTx) Checkpoints(_ context.Context, after int64, limit int) (out []identity.Checkpoint, _ error) {
	for _, c := range tx.checkpoints {
		if len(out) < limit && c.Seq > after {
			out = append(out, c)
		}
	}
	return out, nil
}

func (tx *memoryTx) PersonKey(_ context.Context, userID string) ([32]byte, error) {
	return find(tx.personKeys, userID)
}

func (tx *memoryTx) InsertPersonKey(_ context.Context, userID string, key [32]byte) error {
	if _, err := find(tx.users, userID); err != nil {
		return err
	}
	return put(tx, tx.personKeys, userID, key)
}
