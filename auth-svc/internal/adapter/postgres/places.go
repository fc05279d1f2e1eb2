package postgres

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/auth-svc/internal/identity"
)

var _ identity.Places = (*Store)(nil)

const (
	// lockPlaces has a key's places taken by one guess after the other. Keys come in the core's order, an account before an
	// address, so nobody waits in a circle. The first number sets these locks apart from those of names.
	lockPlaces  = `SELECT pg_advisory_xact_lock($1, k) FROM unnest($2::int[]) WITH ORDINALITY AS w (k, n) ORDER BY n`
	placesClass = 0x67756573

	// takePlaces answers a key that has no place, and writes only when there is none such. A guess gives up its places after its
	// failure is committed, so a failure that is not in the counter yet is still among the guesses.
	takePlaces = `
	WITH wanted AS (
		SELECT w.key, (SELECT count(*) FROM guesses g WHERE g.key = w.key AND g.valid_until > clock_timestamp()) < w.room
			AND coalesce(c.count, 0) = w.count AND c.since IS NOT DISTINCT FROM w.since
			AND c.locked_until IS NOT DISTINCT FROM w.locked_until AS free
		FROM unnest($2::bytea[], $3::int[], $4::int[], $5::timestamptz[], $6::timestamptz[]) AS w (key, room, count, since, locked_until)
		LEFT JOIN counters c ON c.key = w.key
	), taken AS (
		INSERT INTO guesses (key, guess, valid_until)
		SELECT key, $1, clock_timestamp() + interval '1 minute' FROM wanted WHERE (SELECT bool_and(free) FROM wanted)
	)
	SELECT key FROM wanted WHERE NOT free LIMIT 1`

	leavePlaces = `DELETE FROM guesses WHERE guess = $1 AND key = ANY($2)`
)

// TakePlaces costs one round trip and no wait for the disk: only an unlogged table is written.
func (s *Store) TakePlaces(ctx context.Context, guess string, wanted []identity.Place) (full *[32]byte, err error) {
	var (
		keys              = make([][]byte, len(wanted))
		locks             = make([]int32, len(wanted))
		rooms, counts     = make([]int, len(wanted)), make([]int, len(wanted))
		since, lockedTill = make([]*time.Time, len(wanted)), make([]*time.Time, len(wanted))
	)
	for i, w := range wanted {
		keys[i], locks[i] = w.Seen.Key[:], int32(binary.BigEndian.Uint32(w.Seen.Key[:]))
		rooms[i], counts[i] = w.Room, w.Seen.Count
		since[i], lockedTill[i] = at(w.Seen.Since), at(w.Seen.LockedUntil)
	}
	queue := func(b *pgx.Batch) { // two statements, so that the second sees what was committed before the lock was had
		b.Queue(lockPlaces, placesClass, locks)
		b.Queue(takePlaces, id(guess), keys, rooms, counts, since, lockedTill)
	}
	err = s.db.Batch(ctx, queue, func(results pgx.BatchResults) error {
		full = nil
		if _, err := results.Exec(); err != nil {
			return err
		}
		var key []byte
		err := results.QueryRow().Scan(&key)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			full = (*[32]byte)(key)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take places of a guess: %w", err)
	}
	return full, nil
}

// LeavePlaces gives them up; what it can't is forgotten in a minute.
func (s *Store) LeavePlaces(ctx context.Context, guess string, keys [][32]byte) error {
	texts := make([][]byte, len(keys))
	for i := range keys {
		texts[i] = keys[i][:]
	}
	queue := func(b *pgx.Batch) { b.Queue(leavePlaces, id(guess), texts) }
	return s.db.Batch(ctx, queue, func(results pgx.BatchResults) error {
		_, err := results.Exec()
		return err
	})
}
