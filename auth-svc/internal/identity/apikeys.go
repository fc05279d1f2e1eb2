package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
)

// maxAPIKeys of one person: a program needs one, a person a few.
const maxAPIKeys = 100

const maxAPIKeyNameRunes = 100

var (
	errNoAPIKey       = fault.New(fault.NotFound, "no such API key")
	errTooManyAPIKeys = fault.New(fault.Conflict, "too many API keys; revoke one first")
	errAPIKey         = fault.New(fault.InvalidCredentials, "the API key is not valid")
)

// CreateAPIKey makes a key with at most the caller's rights. Faults: Invalid, Forbidden, Conflict for too many.
func (s *Service) CreateAPIKey(ctx context.Context, caller principal.Principal, in NewAPIKey) (MadeAPIKey, error) {
	return s.CreateAPIKeyFor(ctx, caller, caller.UserID, in)
}

// CreateAPIKeyFor makes a key for somebody, with at most that person's rights and the caller's. Faults: as CreateAPIKey,
// NotFound.
func (s *Service) CreateAPIKeyFor(ctx context.Context, caller principal.Principal, userID string, in NewAPIKey) (MadeAPIKey, error) {
	if bad := in.check(); len(bad) > 0 {
		return MadeAPIKey{}, fault.Validation(bad...)
	}
	made, err := makeAPIKey(s.opts.MAC, APIKey{
		ID: s.opts.NewID(), UserID: userID, Name: strings.TrimSpace(in.Name),
		Permissions: SortPermissions(in.Permissions), ExpiresAt: in.ExpiresAt.UTC().Truncate(time.Microsecond),
	})
	if err != nil {
		return MadeAPIKey{}, err
	}
	err = s.store.InTx(ctx, func(tx Tx) error {
		made.APIKey.CreatedAt = tx.Now()
		err := checkAndLog(ctx, tx, caller, act{
			resource: resAPIKeys, verb: actCreate, owner: userID, name: "api_key.create",
			target: apiKeyTarget(made.APIKey.ID), detail: map[string]any{"permissions": texts(made.APIKey.Permissions)},
		})
		if err != nil {
			return err
		}
		if err := guardedByFactor(ctx, tx, caller); err != nil {
			return err
		}
		if err := mayHold(ctx, tx, caller, userID, made.APIKey.Permissions); err != nil {
			return err
		}
		if err := boundByMaker(ctx, tx, caller, &made.APIKey); err != nil {
			return err
		}
		return insertAPIKey(ctx, tx, made.APIKey)
	})
	return made, err
}

// boundByMaker lets a key that a key makes live no longer than that one: else whoever holds a key for a day holds it for
// ever.
func boundByMaker(ctx context.Context, tx Tx, caller principal.Principal, k *APIKey) error {
	if caller.APIKeyID == "" {
		return nil
	}
	maker, err := tx.APIKey(ctx, caller.APIKeyID)
	switch {
	case err != nil:
		return err
	case maker.ExpiresAt.IsZero():
	case k.ExpiresAt.IsZero():
		k.ExpiresAt = maker.ExpiresAt
	case k.ExpiresAt.After(maker.ExpiresAt):
		return fault.Validation(fault.Field{Field: "expires_at", Code: "INVALID", Detail: "must not be after the end of the key that makes it"})
	}
	return nil
}

// check finds what is wrong with a wish for a key.
func (in NewAPIKey) check() (bad []fault.Field) {
	if name := strings.TrimSpace(in.Name); name == "" || len([]rune(name)) > maxAPIKeyNameRunes || !isShowable(name) {
		bad = append(bad, fault.Field{Field: "name", Code: "INVALID", Detail: "must have 1 to 100 characters, without control characters"})
	}
	if len(in.Permissions) == 0 {
		bad = append(bad, fault.Field{Field: "permissions", Code: "REQUIRED", Detail: "a key needs at least one permission"})
	}
	return append(bad, checkPermissions(in.Permissions)...)
}

func insertAPIKey(ctx context.Context, tx Tx, k APIKey) error {
	if k.expired(tx.Now()) {
		return fault.Validation(fault.Field{Field: "expires_at", Code: "INVALID", Detail: "must be in the future"})
	}
	held, err := tx.APIKeysOf(ctx, k.UserID, Cursor{}, maxAPIKeys)
	if err != nil {
		return fmt.Errorf("count API keys: %w", err)
	}
	if len(held) >= maxAPIKeys {
		return errTooManyAPIKeys
	}
	return tx.InsertAPIKey(ctx, k)
}

// ListAPIKeys lists the caller's keys, newest first. limit is 1 to 100.
func (s *Service) ListAPIKeys(ctx context.Context, caller principal.Principal, after Cursor, limit int) (Page[APIKey], error) {
	return s.ListAPIKeysOf(ctx, caller, caller.UserID, after, limit)
}

// ListAPIKeysOf lists a person's keys, newest first. limit is 1 to 100.
func (s *Service) ListAPIKeysOf(ctx context.Context, caller principal.Principal, userID string, after Cursor, limit int) (page Page[APIKey], err error) {
	limit = min(max(limit, 1), maxPage)
	err = s.store.View(ctx, func(tx Tx) error {
		err := check(ctx, tx, caller, act{resource: resAPIKeys, verb: actRead, owner: userID})
		if err != nil {
			return err
		}
		items, err := tx.APIKeysOf(ctx, userID, after, limit+1)
		page = pageOf(items, limit, func(k APIKey) Cursor { return Cursor{At: k.CreatedAt, ID: k.ID} })
		return err
	})
	return page, err
}

// RevokeAPIKey ends one of the caller's keys, everywhere; the operator's reach is everybody's. Faults: NotFound, also
// for other people's.
func (s *Service) RevokeAPIKey(ctx context.Context, caller principal.Principal, id string) (seq int64, err error) {
	err = s.change(ctx, func(tx Tx) error {
		err := checkAndLog(ctx, tx, caller, act{
			resource: resAPIKeys, verb: actDelete, owner: caller.UserID, name: "api_key.revoke", target: apiKeyTarget(id),
		})
		if err != nil {
			return err
		}
		k, err := tx.APIKey(ctx, id)
		if errors.Is(err, fault.Of(fault.NotFound)) || (err == nil && k.UserID != caller.UserID && !isOperator(ctx)) {
			return errNoAPIKey
		}
		if err != nil {
			return err
		}
		if err := tx.DeleteAPIKey(ctx, id); err != nil {
			return err
		}
		seq, err = revoke(ctx, tx, KindAPIKey, id, k.AccessUntil)
		return err
	})
	return seq, err
}

// ExchangeAPIKey trades a key for a short access token with the permissions that key and owner share right now, and
// no roles: those are the person's. Faults: InvalidCredentials for every refusal alike. A forged key is refused
// without asking the store.
func (s *Service) ExchangeAPIKey(ctx context.Context, key secret.String) (ExchangedAPIKey, error) {
	id, hash, ok := openAPIKey(s.opts.MAC, key.Reveal())
	if !ok {
		return ExchangedAPIKey{}, errAPIKey
	}
	p := s.policy()
	var claims Claims
	err := s.store.InTx(ctx, func(tx Tx) error {
		k, rights, err := usableAPIKey(ctx, tx, id, hash)
		if err != nil {
			return err
		}
		until := tx.Now().Add(p.APIKeyTTL)
		if !k.ExpiresAt.IsZero() {
			until = earlier(until, k.ExpiresAt)
		}
		claims = Claims{
			UserID: k.UserID, APIKeyID: k.ID, Permissions: both(k.Permissions, rights.Permissions),
			Epoch: rights.Epoch, EpochRoles: rights.Roles,
			IssuedAt: tx.Now(), ExpiresAt: until,
		}
		k.LastUsedAt, k.AccessUntil = tx.Now(), later(k.AccessUntil, until)
		return tx.TouchAPIKey(ctx, k)
	})
	if err != nil {
		return ExchangedAPIKey{}, err
	}
	access, left, err := s.sign(p, claims)
	return ExchangedAPIKey{AccessToken: access, ExpiresIn: left}, err
}

func usableAPIKey(ctx context.Context, tx Tx, id string, hash [32]byte) (APIKey, Rights, error) {
	k, err := tx.APIKey(ctx, id)
	if err != nil {
		return k, Rights{}, refuseAPIKey(err)
	}
	if !sameHash(hash, k.SecretHash) || k.expired(tx.Now()) {
		return k, Rights{}, errAPIKey
	}
	rights, err := tx.Rights(ctx, k.UserID)
	if err == nil && rights.Status != Active {
		err = errAPIKey
	}
	return k, rights, refuseAPIKey(err)
}

func refuseAPIKey(err error) error {
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return errAPIKey
	}
	return err
}
