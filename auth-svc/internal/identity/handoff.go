package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// Both halves of a sign-in elsewhere travel as credentials of ours: `crs_` through the provider as its state, and `cro_`, the
// one-time code, through the client's return URL. Each is id 16 | secret 32.
const (
	statePrefix   = "crs_"
	codePrefix    = "cro_"
	handoffBody   = 16 + secretBytes
	stateLife     = 10 * time.Minute
	codeLife      = 2 * time.Minute
	maxHandoffs   = 10_000 // of each kind
	handoffsRetry = 30 * time.Second
)

var (
	errHandoff       = fault.New(fault.InvalidCredentials, "this sign-in has expired or has been used; start again")
	errTooManyOnRoad = fault.Retry(fault.Overloaded, "too many sign-ins are under way; try again shortly", handoffsRetry)
)

var handoffKinds = map[HandoffKind]struct {
	prefix string
	life   time.Duration
}{HandoffState: {statePrefix, stateLife}, HandoffCode: {codePrefix, codeLife}}

// handOff keeps what a sign-in is about and returns what brings it back. Rows that have expired don't count: when the bound is
// reached they are swept first.
func (s *Service) handOff(ctx context.Context, tx Tx, kind HandoffKind, about any) (secret.String, error) {
	open, err := tx.CountHandoffs(ctx, kind)
	if err == nil && open >= maxHandoffs {
		if _, err = tx.SweepHandoffs(ctx, maxHandoffs); err == nil {
			open, err = tx.CountHandoffs(ctx, kind)
		}
	}
	switch {
	case err != nil:
		return secret.String{}, fmt.Errorf("count sign-ins under way: %w", err)
	case open >= maxHandoffs:
		return secret.String{}, errTooManyOnRoad
	}
	plain, err := json.Marshal(about)
	if err != nil {
		return secret.String{}, fmt.Errorf("encode a sign-in: %w", err)
	}
	k, live, now := handoffKinds[kind], newSecret(), tx.Now()
	h := Handoff{ID: s.opts.NewID(), Kind: kind, Hash: hashSecret(live), CreatedAt: now, ExpiresAt: now.Add(k.life)}
	id, ok := parseID(h.ID)
	if !ok {
		return secret.String{}, errBadID
	}
	h.Sealed = s.opts.Sealer.Seal(handoffLabel(h), plain)
	if err := tx.InsertHandoff(ctx, h); err != nil {
		return secret.String{}, fmt.Errorf("insert handoff: %w", err)
	}
	return sealCredential(s.opts.MAC, k.prefix, append(id[:], live[:]...))
}

// countHandoffs tells how many sign-ins are under way: none of them says so when it is over, and some never are.
func (s *Service) countHandoffs(ctx context.Context) error {
	if s.opts.Providers == nil {
		return nil
	}
	open := map[HandoffKind]int{}
	err := s.store.View(ctx, func(tx Tx) error {
		for kind := range handoffKinds {
			n, err := tx.CountHandoffs(ctx, kind)
			if err != nil {
				return err
			}
			open[kind] = n
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count sign-ins under way: %w", err)
	}
	for kind, n := range open {
		s.opts.Observer.OpenSignIns(kind, n)
	}
	return nil
}

// handoffKey is an opened credential of a handoff.
type handoffKey struct {
	id   string
	hash [32]byte
}

// openHandoff refuses what none of our keys has made before the store is asked.
func (s *Service) openHandoff(kind HandoffKind, raw secret.String) (handoffKey, error) {
	body, ok := openCredential(s.opts.MAC, handoffKinds[kind].prefix, handoffBody, raw.Reveal())
	if !ok {
		return handoffKey{}, errHandoff
	}
	return handoffKey{formatID([16]byte(body[:16])), hashSecret([secretBytes]byte(body[16:]))}, nil
}

// takeHandoff spends a handoff and reads into about what it is about. An error of the transaction gives it back.
func (s *Service) takeHandoff(ctx context.Context, tx Tx, kind HandoffKind, key handoffKey, about any) error {
	h, err := tx.TakeHandoff(ctx, kind, key.id)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)):
		return errHandoff
	case err != nil:
		return fmt.Errorf("take handoff: %w", err)
	case !sameHash(h.Hash, key.hash) || !tx.Now().Before(h.ExpiresAt):
		return errHandoff
	}
	plain, err := s.opts.Sealer.Open(handoffLabel(h), h.Sealed)
	if err != nil {
		return fmt.Errorf("open a sign-in: %w", err)
	}
	return json.Unmarshal(plain, about)
}

// handoffLabel ties the sealed bytes to their row.
func handoffLabel(h Handoff) string { return "sign-in " + string(h.Kind) + " " + h.ID }
