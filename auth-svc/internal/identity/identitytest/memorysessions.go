package identitytest

import (
	"context"

	"cloakroom.dev/auth-svc/internal/identity"
)

func (tx *memoryTx) Session(_ context.Context, id string) (identity.Session, error) {
	return find(tx.sessions, id)
}

func (tx *memoryTx) SessionForRefresh(ctx context.Context, id string) (s identity.Session, r identity.Rights, newer int, err error) {
	if s, err = find(tx.sessions, id); err != nil {
		return s, r, 0, err
	}
	for _, o := range tx.sessions {
		newerThan := o.CreatedAt.After(s.CreatedAt) || (o.CreatedAt.Equal(s.CreatedAt) && o.ID > s.ID)
		if o.UserID == s.UserID && o.Policy == s.Policy && newerThan && tx.at.Before(o.RefreshUntil) {
			newer++
		}
	}
	r, err = tx.Rights(ctx, s.UserID)
	return s, r, newer, err
}

func (tx *memoryTx) InsertSession(_ context.Context, s identity.Session) error {
	if _, err := find(tx.users, s.UserID); err != nil {
		return err
	}
	return put(tx, tx.sessions, s.ID, s)
}

func (tx *memoryTx) RotateSession(_ context.Context, s identity.Session) error {
	old, ok := tx.sessions[s.ID]
	if !ok || old.Generation != s.Generation-1 {
		return errMoved
	}
	s.UserID, s.CreatedAt, s.DeviceName, s.UserAgent = old.UserID, old.CreatedAt, old.DeviceName, old.UserAgent
	s.ProvedAt, s.Proof, s.Policy = old.ProvedAt, old.Proof, old.Policy
	return put(tx, tx.sessions, s.ID, s)
}

func (tx *memoryTx) DeleteSession(_ context.Context, id string) (identity.Session, error) {
	s, err := find(tx.sessions, id)
	if err != nil {
		return s, err
	}
	return s, remove(tx, tx.sessions, id)
}

func (tx *memoryTx) SessionsOf(_ context.Context, userID string, after identity.Cursor, limit int) ([]identity.Session, error) {
	var out []identity.Session
	for _, s := range tx.sessions {
		if s.UserID == userID && tx.at.Before(s.RefreshUntil) {
			out = append(out, s)
		}
	}
	at := func(s identity.Session) identity.Cursor { return identity.Cursor{At: s.CreatedAt, ID: s.ID} }
	return newestFirst(out, at, after, limit), nil
}

func (tx *memoryTx) SweepSessions(_ context.Context, limit int) (n int, _ error) {
	for _, s := range tx.sessions {
		if n == limit {
			break
		}
		if tx.at.Before(s.RefreshUntil) {
			continue
		}
		if err := remove(tx, tx.sessions, s.ID); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
