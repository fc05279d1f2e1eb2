package identitytest

import (
	"cmp"
	"context"
	"slices"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
)

// elsewhereBox is the part of the store in memory that is about identity providers.
type elsewhereBox struct {
	external map[string]identity.ExternalIdentity
	handoffs map[string]identity.Handoff
}

func newElsewhereBox() elsewhereBox {
	return elsewhereBox{external: map[string]identity.ExternalIdentity{}, handoffs: map[string]identity.Handoff{}}
}

// dropExternal is what ON DELETE CASCADE does.
func (tx *memoryTx) dropExternal(userID string) {
	for id, e := range tx.external {
		if e.UserID == userID {
			_ = remove(tx, tx.external, id)
		}
	}
}

func (tx *memoryTx) ExternalIdentity(_ context.Context, issuer, subject string) (identity.ExternalIdentity, error) {
	for _, e := range tx.external {
		if e.Issuer == issuer && e.Subject == subject {
			return e, nil
		}
	}
	return identity.ExternalIdentity{}, errNotFound
}

func (tx *memoryTx) ExternalIdentitiesOf(_ context.Context, userID string) (out []identity.ExternalIdentity, _ error) {
	for _, e := range tx.external {
		if e.UserID == userID {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b identity.ExternalIdentity) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

func (tx *memoryTx) InsertExternalIdentity(_ context.Context, e identity.ExternalIdentity) error {
	if _, err := find(tx.users, e.UserID); err != nil {
		return err
	}
	for _, o := range tx.external {
		if o.Issuer == e.Issuer && (o.Subject == e.Subject || o.UserID == e.UserID) {
			return fault.New(fault.Duplicate, "linked already")
		}
	}
	return put(tx, tx.external, e.ID, e)
}

func (tx *memoryTx) TouchExternalIdentity(_ context.Context, e identity.ExternalIdentity) error {
	old, err := find(tx.external, e.ID)
	if err != nil {
		return err
	}
	old.Email, old.LastUsedAt = e.Email, e.LastUsedAt
	return put(tx, tx.external, e.ID, old)
}

func (tx *memoryTx) DeleteExternalIdentity(_ context.Context, userID, id string) error {
	if e, ok := tx.external[id]; !ok || e.UserID != userID {
		return errNotFound
	}
	return remove(tx, tx.external, id)
}

func (tx *memoryTx) InsertHandoff(_ context.Context, h identity.Handoff) error {
	return put(tx, tx.handoffs, h.ID, h)
}

func (tx *memoryTx) TakeHandoff(_ context.Context, kind identity.HandoffKind, id string) (identity.Handoff, error) {
	h, err := find(tx.handoffs, id)
	if err != nil || h.Kind != kind {
		return identity.Handoff{}, errNotFound
	}
	return h, remove(tx, tx.handoffs, id)
}

func (tx *memoryTx) CountHandoffs(_ context.Context, kind identity.HandoffKind) (n int, _ error) {
	for _, h := range tx.handoffs {
		if h.Kind == kind {
			n++
		}
	}
	return n, nil
}

func (tx *memoryTx) SweepHandoffs(_ context.Context, limit int) (n int, err error) {
	for id, h := range tx.handoffs {
		if n < limit && !h.ExpiresAt.After(tx.at) {
			if err := remove(tx, tx.handoffs, id); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}
