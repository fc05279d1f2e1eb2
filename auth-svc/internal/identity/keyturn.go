package identity

import (
	"context"
	"slices"
	"time"
)

// keyTurn moves signing keys on, inside a transaction: next → current → retiring → gone. It is idempotent: where
// nothing is due it writes nothing.
//
// Of each algorithm that a policy asks for, one key is current and one next. When a policy asks for a new one, a next key of
// it is published and takes over a key set's lifetime later; until then the current keys there are go on. A current key that
// no policy asks for any more retires once every algorithm has its own.
type keyTurn struct {
	tx       Tx
	keys     []SigningKey
	fresh    func(algorithm string) (SigningKey, error)
	lifetime time.Duration // of a published key set in a verifier's cache
	every    time.Duration // rotate a current key of this age; 0 for never
	wanted   []string      // algorithms
	killed   string        // the algorithm of a current key that this turn has ended
	changed  bool
}

// retiringFor keeps a key published until no token signed by it can be alive, and until replicas that still had the old
// set in memory have noticed.
const retiringFor = maxAccessTTL + 2*keyTick + revocationMargin

func (t *keyTurn) run(ctx context.Context, algorithms []string) (err error) {
	t.wanted = algorithms
	if t.keys, err = t.tx.SigningKeys(ctx); err != nil {
		return err
	}
	if err := t.dropDone(ctx); err != nil {
		return err
	}
	if t.find(KeyCurrent, "") == nil {
		// Nothing signs, so nothing is lost by not waiting: the first start, or the current key was killed.
		for _, algorithm := range algorithms {
			if err := t.promote(ctx, algorithm); err != nil {
				return err
			}
		}
	}
	if slices.Contains(algorithms, t.killed) && t.find(KeyCurrent, t.killed) == nil {
		// The keys of other algorithms can't go on for it: verifiers may take no tokens of theirs, and nobody could come in until the next
		// key is ripe.
		if err := t.promote(ctx, t.killed); err != nil {
			return err
		}
	}
	for _, algorithm := range algorithms {
		if err := t.turn(ctx, algorithm); err != nil {
			return err
		}
	}
	return t.retireUnwanted(ctx)
}

// turn plans the next key of an algorithm, and lets it take over when its day has come.
func (t *keyTurn) turn(ctx context.Context, algorithm string) error {
	if err := t.plan(ctx, algorithm); err != nil {
		return err
	}
	next := t.find(KeyNext, algorithm)
	if next == nil || next.ActivateAt.IsZero() || t.tx.Now().Before(next.ActivateAt) {
		return nil
	}
	if err := t.promote(ctx, algorithm); err != nil {
		return err
	}
	return t.plan(ctx, algorithm)
}

// dropDone removes keys whose last token has expired, and next keys of an algorithm nobody wants any more.
func (t *keyTurn) dropDone(ctx context.Context) error {
	for _, k := range slices.Clone(t.keys) {
		done := k.State == KeyRetiring && !t.tx.Now().Before(k.GoneAt)
		unwanted := k.State == KeyNext && !slices.Contains(t.wanted, k.Algorithm)
		if !done && !unwanted {
			continue
		}
		if err := t.tx.DeleteSigningKey(ctx, k.ID); err != nil {
			return err
		}
		t.changed = true
		t.keys = slices.DeleteFunc(t.keys, func(o SigningKey) bool { return o.ID == k.ID })
	}
	return nil
}

// plan sees to it that there is a next key, and that it knows its day when the chain or the calendar asks for it.
func (t *keyTurn) plan(ctx context.Context, algorithm string) error {
	next := t.find(KeyNext, algorithm)
	if next == nil {
		k, err := t.insert(ctx, algorithm, KeyNext)
		if err != nil {
			return err
		}
		next = k
	}
	current := t.find(KeyCurrent, algorithm)
	aged := current != nil && t.every > 0 && !t.tx.Now().Before(current.ActivateAt.Add(t.every))
	if !next.ActivateAt.IsZero() || (current != nil && !aged) {
		return nil
	}
	next.ActivateAt = t.ripe(*next)
	return t.update(ctx, *next)
}

// ripe is when a next key may sign: one lifetime of a cached key set after it was published, and not before now.
func (t *keyTurn) ripe(next SigningKey) time.Time {
	return later(t.tx.Now(), next.CreatedAt.Add(t.lifetime))
}

// retireUnwanted retires the current keys of algorithms nobody asks for, unless one must go on for another.
func (t *keyTurn) retireUnwanted(ctx context.Context) error {
	for _, algorithm := range t.wanted {
		if t.find(KeyCurrent, algorithm) == nil {
			return nil
		}
	}
	return t.retire(ctx, func(k SigningKey) bool { return !slices.Contains(t.wanted, k.Algorithm) })
}

func (t *keyTurn) retire(ctx context.Context, which func(SigningKey) bool) error {
	for _, k := range slices.Clone(t.keys) {
		if k.State != KeyCurrent || !which(k) {
			continue
		}
		k.State, k.GoneAt = KeyRetiring, t.tx.Now().Add(retiringFor)
		if err := t.update(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// promote lets the next key of an algorithm sign from now on, or a fresh one when there is none, and retires the one that
// signed before.
func (t *keyTurn) promote(ctx context.Context, algorithm string) error {
	if err := t.retire(ctx, func(k SigningKey) bool { return k.Algorithm == algorithm }); err != nil {
		return err
	}
	next := t.find(KeyNext, algorithm)
	if next == nil {
		_, err := t.insert(ctx, algorithm, KeyCurrent)
		return err
	}
	next.State, next.ActivateAt = KeyCurrent, t.tx.Now()
	return t.update(ctx, *next)
}

// find returns a copy of the first key in that state, of any algorithm when none is named.
func (t *keyTurn) find(state KeyState, algorithm string) *SigningKey {
	for _, k := range t.keys {
		if k.State == state && (algorithm == "" || k.Algorithm == algorithm) {
			return &k
		}
	}
	return nil
}

func (t *keyTurn) insert(ctx context.Context, algorithm string, state KeyState) (*SigningKey, error) {
	k, err := t.fresh(algorithm)
	if err != nil {
		return nil, err
	}
	k.State, k.CreatedAt = state, t.tx.Now()
	if state == KeyCurrent {
		k.ActivateAt = t.tx.Now()
	}
	t.keys, t.changed = append(t.keys, k), true
	return &k, t.tx.InsertSigningKey(ctx, k)
}

func (t *keyTurn) update(ctx context.Context, k SigningKey) error {
	t.changed = true
	i := slices.IndexFunc(t.keys, func(o SigningKey) bool { return o.ID == k.ID })
	t.keys[i] = k
	return t.tx.UpdateSigningKey(ctx, k)
}
