package identitytest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
)

// mailbox is the part of the store in memory that mails, their links, counters and devices are in.
type mailbox struct {
	outbox     map[string]identity.OutMail
	mailTokens map[string]identity.MailToken
	counters   map[[32]byte]identity.Counter
	devices    map[deviceKey]time.Time
}

type deviceKey struct {
	userID string
	device [32]byte
}

func newMailbox() mailbox {
	return mailbox{
		outbox: map[string]identity.OutMail{}, mailTokens: map[string]identity.MailToken{},
		counters: map[[32]byte]identity.Counter{}, devices: map[deviceKey]time.Time{},
	}
}

// dropPerson is what ON DELETE CASCADE does.
func (tx *memoryTx) dropPerson(id string) {
	tx.dropFactors(id)
	tx.dropExternal(id)
	for k, m := range tx.outbox {
		if m.UserID == id {
			_ = remove(tx, tx.outbox, k)
		}
	}
	for k, t := range tx.mailTokens {
		if t.UserID == id {
			_ = remove(tx, tx.mailTokens, k)
		}
	}
	for k := range tx.devices {
		if k.userID == id {
			_ = remove(tx, tx.devices, k)
		}
	}
}

func (tx *memoryTx) InsertMail(_ context.Context, m identity.OutMail) error {
	return put(tx, tx.outbox, m.ID, m)
}

func (tx *memoryTx) LeaseMails(_ context.Context, until time.Time, limit int) ([]identity.OutMail, error) {
	var due []identity.OutMail
	for _, m := range tx.outbox {
		if !m.DueAt.After(tx.at) {
			due = append(due, m)
		}
	}
	slices.SortFunc(due, func(a, b identity.OutMail) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ID, b.ID))
	})
	due = due[:min(limit, len(due))]
	slices.SortFunc(due, func(a, b identity.OutMail) int { return cmp.Compare(a.ID, b.ID) })
	for i := range due {
		due[i].DueAt, due[i].Tries = until, due[i].Tries+1
		if err := put(tx, tx.outbox, due[i].ID, due[i]); err != nil {
			return nil, err
		}
	}
	return due, nil
}

func (tx *memoryTx) UpdateMail(_ context.Context, m identity.OutMail) error {
	old, err := find(tx.outbox, m.ID)
	if err != nil {
		return err
	}
	old.UserID, old.To, old.DueAt = m.UserID, m.To, m.DueAt
	return put(tx, tx.outbox, m.ID, old)
}

func (tx *memoryTx) DeleteMail(_ context.Context, id string) error {
	if _, err := find(tx.outbox, id); err != nil {
		return err
	}
	return remove(tx, tx.outbox, id)
}

func (tx *memoryTx) CountMails(context.Context) (int, error) { return len(tx.outbox), nil }

func (tx *memoryTx) MailToken(_ context.Context, id string) (identity.MailToken, error) {
	return find(tx.mailTokens, id)
}

func (tx *memoryTx) PutMailToken(ctx context.Context, t identity.MailToken) error {
	if err := tx.DeleteMailTokens(ctx, t.UserID, t.Purpose); err != nil {
		return err
	}
	return put(tx, tx.mailTokens, t.ID, t)
}

func (tx *memoryTx) DeleteMailTokens(_ context.Context, userID string, purposes ...identity.Purpose) error {
	for _, t := range tx.mailTokens {
		if t.UserID == userID && (len(purposes) == 0 || slices.Contains(purposes, t.Purpose)) {
			if err := remove(tx, tx.mailTokens, t.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (tx *memoryTx) SweepMailTokens(_ context.Context, limit int) (n int, err error) {
	for _, t := range tx.mailTokens {
		if n < limit && !t.ExpiresAt.After(tx.at) {
			if err := remove(tx, tx.mailTokens, t.ID); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

func (tx *memoryTx) Counter(_ context.Context, key [32]byte) (identity.Counter, error) {
	c := tx.counters[key]
	c.Key = key
	return c, nil
}

func (tx *memoryTx) PutCounter(_ context.Context, c identity.Counter) error {
	return put(tx, tx.counters, c.Key, c)
}

func (tx *memoryTx) SweepCounters(_ context.Context, limit int) (n int, err error) {
	for k, c := range tx.counters {
		if n < limit && !c.Until.After(tx.at) {
			if err := remove(tx, tx.counters, k); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

func (tx *memoryTx) KnownDevice(_ context.Context, userID string, device [32]byte) (bool, error) {
	_, ok := tx.devices[deviceKey{userID, device}]
	return ok, nil
}

func (tx *memoryTx) PutDevice(_ context.Context, userID string, device [32]byte, keep int) error {
	if err := put(tx, tx.devices, deviceKey{userID, device}, tx.at); err != nil {
		return err
	}
	var mine []deviceKey
	for k := range tx.devices {
		if k.userID == userID {
			mine = append(mine, k)
		}
	}
	slices.SortFunc(mine, func(a, b deviceKey) int {
		return cmp.Or(tx.devices[b].Compare(tx.devices[a]), strings.Compare(string(a.device[:]), string(b.device[:])))
	})
	for _, k := range mine[min(keep, len(mine)):] {
		_ = remove(tx, tx.devices, k)
	}
	return nil
}
