package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

var errNoSigningKey = fault.New(fault.NotFound, "no such signing key")

// PublishedKeys returns the keys verifiers need: next, current and retiring. They come from memory.
func (s *Service) PublishedKeys(context.Context) ([]SigningKey, error) {
	keys := s.keys.all()
	if len(keys) == 0 {
		return nil, errNoKey
	}
	return keys, nil
}

// JWKSLifetime is how long verifiers may keep PublishedKeys.
const JWKSLifetime = 5 * time.Minute

// ListSigningKeys lists the keys to an administrator.
func (s *Service) ListSigningKeys(ctx context.Context, caller principal.Principal) (keys []SigningKey, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resSigningKeys, verb: actRead}); err != nil {
			return err
		}
		keys, err = tx.SigningKeys(ctx)
		return err
	})
	return keys, err
}

// RotateSigningKeys lets the next key take over as soon as it has been published for one JWKSLifetime; its ActivateAt
// says when. Faults: Forbidden.
func (s *Service) RotateSigningKeys(ctx context.Context, caller principal.Principal) ([]SigningKey, error) {
	return s.turnKeys(ctx, func(t *keyTurn) error {
		err := checkAndLog(ctx, t.tx, caller, act{
			resource: resSigningKeys, verb: actCreate, name: "signing_key.rotate", target: "signing_keys",
		})
		if err != nil {
			return err
		}
		if t.keys, err = t.tx.SigningKeys(ctx); err != nil {
			return err
		}
		for _, algorithm := range s.algorithms() {
			next := t.find(KeyNext, algorithm)
			if next == nil || !next.ActivateAt.IsZero() {
				continue
			}
			next.ActivateAt = t.ripe(*next)
			if err := t.update(ctx, *next); err != nil {
				return err
			}
		}
		return nil
	})
}

// KillSigningKey ends a key and all its tokens, at once and everywhere; sessions live on by refresh. Faults: Forbidden,
// NotFound.
func (s *Service) KillSigningKey(ctx context.Context, caller principal.Principal, kid string) (seq int64, err error) {
	_, err = s.turnKeys(ctx, func(t *keyTurn) error {
		err := checkAndLog(ctx, t.tx, caller, act{
			resource: resSigningKeys, verb: actDelete, name: "signing_key.kill", target: "signing_key:" + clip(kid, 64),
		})
		if err != nil {
			return err
		}
		if caller.APIKeyID == "" { // a key with this permission was made by somebody who had proved to be who they are
			if err := recentlyProved(ctx, t.tx, caller); err != nil {
				return err
			}
		}
		if t.killed, err = currentAlgorithm(ctx, t.tx, kid); err != nil {
			return err
		}
		err = t.tx.DeleteSigningKey(ctx, kid)
		if errors.Is(err, fault.Of(fault.NotFound)) {
			return errNoSigningKey
		}
		if err != nil {
			return err
		}
		t.changed = true
		// Kept for long: a verifier that starts later may still fetch an old copy of the key set from some cache.
		seq, err = revoke(ctx, t.tx, KindSigningKey, kid, t.tx.Now().Add(longKept))
		return err
	})
	return seq, err
}

// currentAlgorithm is what the key signs now, empty when it signs nothing.
func currentAlgorithm(ctx context.Context, tx Tx, kid string) (string, error) {
	keys, err := tx.SigningKeys(ctx)
	for _, k := range keys {
		if k.ID == kid && k.State == KeyCurrent {
			return k.Algorithm, nil
		}
	}
	return "", err
}

// keepKeys does what is due in the life of keys, and reads the set anew: another replica may have changed it.
func (s *Service) keepKeys(ctx context.Context) error {
	_, err := s.turnKeys(ctx, func(*keyTurn) error { return nil })
	return err
}

// errNeedKey is the turn's way to ask for a key that has not been made yet: making one takes longer than a transaction
// should.
type errNeedKey struct{ algorithm string }

func (e errNeedKey) Error() string { return "a new signing key is needed for " + e.algorithm }

// maxFreshKeys is how many keys of an algorithm one turn can need: a current and a next one, and a next one after a promotion.
const maxFreshKeys = 3

// turnKeys runs first and then all that is due, in one transaction, and loads the outcome.
func (s *Service) turnKeys(ctx context.Context, first func(*keyTurn) error) (keys []SigningKey, err error) {
	var spare []SigningKey
	most := maxFreshKeys * len(s.algorithms())
	for {
		keys, err = s.tryTurn(ctx, spare, first)
		var need errNeedKey
		if !errors.As(err, &need) || len(spare) >= most {
			return keys, err
		}
		k := SigningKey{ID: s.opts.NewID(), Algorithm: need.algorithm}
		if k.Public, k.Sealed, err = s.signer.Generate(k.ID, k.Algorithm); err != nil {
			return nil, fmt.Errorf("make a signing key: %w", err)
		}
		spare = append(spare, k)
	}
}

func (s *Service) tryTurn(ctx context.Context, spare []SigningKey, first func(*keyTurn) error) ([]SigningKey, error) {
	s.keys.turn.Lock()
	defer s.keys.turn.Unlock()
	var t *keyTurn
	err := s.change(ctx, func(tx Tx) error {
		left := slices.Clone(spare)
		t = &keyTurn{
			tx: tx, lifetime: JWKSLifetime, every: s.opts.RotateKeysEvery,
			fresh: func(algorithm string) (SigningKey, error) {
				at := slices.IndexFunc(left, func(k SigningKey) bool { return k.Algorithm == algorithm })
				if at < 0 {
					return SigningKey{}, errNeedKey{algorithm}
				}
				k := left[at]
				left = slices.Delete(left, at, at+1)
				return k, nil
			},
		}
		if err := first(t); err != nil {
			return err
		}
		return t.run(ctx, s.algorithms())
	})
	if err != nil {
		return nil, err
	}
	s.keys.set(t.keys)
	if t.changed {
		s.opts.Log.InfoContext(ctx, "signing keys changed", "keys", len(t.keys))
	}
	return t.keys, nil
}
