// Package identitytest has what tests of and against the core need: a conformance suite for stores, a store in memory
// that passes it, and stand-ins for hasher, signer and MAC that cost nothing.
package identitytest

import (
	"context"
	"errors"
	"sync"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Memory returns a store that forgets everything with the process. Its transactions run one at a time; its clock is
// now.
func Memory(now func() time.Time) identity.Store {
	return &memory{
		now: now, users: map[string]identity.User{}, roles: map[string]identity.Role{},
		sessions: map[string]identity.Session{}, apiKeys: map[string]identity.APIKey{},
		bootstrap: map[[32]byte]bool{}, personKeys: map[string][32]byte{}, mailbox: newMailbox(), factorBox: newFactorBox(), importBox: newImportBox(),
		elsewhereBox: newElsewhereBox(),
	}
}

var _ identity.Store = (*memory)(nil)

// errReadOnly is what writing in a View comes to.
var errReadOnly = errors.New("this transaction is for reading")

type memory struct {
	mu  sync.RWMutex
	now func() time.Time

	users       map[string]identity.User
	roles       map[string]identity.Role
	sessions    map[string]identity.Session
	apiKeys     map[string]identity.APIKey
	signingKeys []identity.SigningKey
	log         []identity.Revocation
	head        int64
	audit       []identity.AuditRow
	checkpoints []identity.Checkpoint
	personKeys  map[string][32]byte
	bootstrap   map[[32]byte]bool // hash of the token -> unused
	mailbox
	factorBox
	importBox
	elsewhereBox
}

func (m *memory) InTx(ctx context.Context, fn func(identity.Tx) error) (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &memoryTx{memory: m, at: m.moment(), writes: true}
	done := false
	defer func() {
		if !done || err != nil { // not done: fn has panicked
			tx.undoAll()
		}
	}()
	err = fn(tx)
	done = true
	return err
}

// InTxRelaxed is InTx: memory knows no disk.
func (m *memory) InTxRelaxed(ctx context.Context, fn func(identity.Tx) error) error {
	return m.InTx(ctx, fn)
}

// View runs fn twice, as a store may that has lost a connection.
func (m *memory) View(ctx context.Context, fn func(identity.Tx) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := fn(&memoryTx{memory: m, at: m.moment()}); err != nil {
		return err
	}
	return fn(&memoryTx{memory: m, at: m.moment()})
}

func (m *memory) moment() time.Time { return m.now().UTC().Truncate(time.Microsecond) }

// memoryTx changes the store in place and remembers how to take it back.
type memoryTx struct {
	*memory
	at     time.Time
	writes bool
	undo   []func()
}

func (tx *memoryTx) Now() time.Time { return tx.at }

func (tx *memoryTx) undoAll() {
	for i := len(tx.undo) - 1; i >= 0; i-- {
		tx.undo[i]()
	}
}

// keep calls write unless this is a View, and remembers undo.
func (tx *memoryTx) keep(write, undo func()) error {
	if !tx.writes {
		return errReadOnly
	}
	write()
	tx.undo = append(tx.undo, undo)
	return nil
}

func put[K comparable, V any](tx *memoryTx, m map[K]V, k K, v V) error {
	old, had := m[k]
	return tx.keep(func() { m[k] = v }, func() { restore(m, k, old, had) })
}

func remove[K comparable, V any](tx *memoryTx, m map[K]V, k K) error {
	old, had := m[k]
	return tx.keep(func() { delete(m, k) }, func() { restore(m, k, old, had) })
}

func restore[K comparable, V any](m map[K]V, k K, old V, had bool) {
	if had {
		m[k] = old
		return
	}
	delete(m, k)
}

// assign sets a variable of the store; slices are replaced, never written into.
func assign[V any](tx *memoryTx, at *V, v V) error {
	old := *at
	return tx.keep(func() { *at = v }, func() { *at = old })
}
