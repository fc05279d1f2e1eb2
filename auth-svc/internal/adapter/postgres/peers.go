package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"cloakroom.dev/libs/postgres"

	"cloakroom.dev/auth-svc/internal/identity"
)

// One channel carries all that replicas tell each other, each piece in one word, so that a replica has one connection that
// listens.
const (
	newsChannel   = "news"
	newsLog       = "log"
	newsFollowers = "followers" // whose follow
	newsAck       = "ack"       // number and name follow
)

// News is called with what other replicas, and this one, have done. After a lost connection everything but Acked is called:
// an acknowledgement that got lost shows as one that is late.
type News struct {
	LogGrew        func()
	FollowersMoved func()
	Acked          func(name string, seq int64)
}

// Listen hears news until ctx ends.
func (s *Store) Listen(ctx context.Context, n News) error {
	return s.db.Listen(ctx, newsChannel, func(payload string) { n.hear(payload, s.replica.String()) })
}

// hear passes on what is news to this replica.
func (n News) hear(payload, self string) {
	word, rest, _ := strings.Cut(payload, " ")
	switch word {
	case newsLog:
		n.LogGrew()
	case newsFollowers:
		if rest != self {
			n.FollowersMoved()
		}
	case newsAck:
		number, name, _ := strings.Cut(rest, " ")
		if seq, err := strconv.ParseInt(number, 10, 64); err == nil {
			n.Acked(name, seq)
		}
	default: // something may have been missed
		n.LogGrew()
		n.FollowersMoved()
	}
}

var _ identity.Peers = (*Store)(nil)

const (
	forgetFollowers = `DELETE FROM followers WHERE replica = $1 AND name <> ALL($2) OR seen_at < now() - interval '1 minute'`
	putFollowers    = `
	INSERT INTO followers (replica, name, acked, seen_at)
	SELECT $1, f.name, f.acked, now() FROM unnest($2::text[], $3::bigint[]) AS f (name, acked)
	ON CONFLICT (replica, name) DO UPDATE SET acked = excluded.acked, seen_at = excluded.seen_at`
	selectFollowers = `
	SELECT name, min(acked) FROM followers WHERE replica <> $1 AND seen_at > now() - interval '10 seconds'
	GROUP BY name ORDER BY name`
)

// Announce does not wait for the journal: what it writes is of no use after a crash.
func (s *Store) Announce(ctx context.Context, here []identity.PeerFollower, news bool) error {
	names, acked := make([]string, len(here)), make([]int64, len(here))
	for i, f := range here {
		names[i], acked[i] = f.Name, f.Acked
	}
	err := s.db.InTx(ctx, func(tx *postgres.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = off`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, forgetFollowers, s.replica, names); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, putFollowers, s.replica, names, acked); err != nil {
			return err
		}
		if !news {
			return nil
		}
		return tx.Notify(ctx, newsChannel, newsFollowers+" "+s.replica.String())
	})
	if err != nil {
		return fmt.Errorf("announce followers: %w", err)
	}
	return nil
}

// Elsewhere lists what other replicas have announced.
func (s *Store) Elsewhere(ctx context.Context) (all []identity.PeerFollower, err error) {
	err = s.db.View(ctx, func(tx *postgres.Tx) error {
		all, err = list(ctx, s.begin(tx, false), func(row scanner) (f identity.PeerFollower, err error) {
			return f, row.Scan(&f.Name, &f.Acked)
		}, selectFollowers, s.replica)
		return err
	})
	return all, err
}

// Forward tells all replicas of an acknowledgement.
func (s *Store) Forward(ctx context.Context, name string, seq int64) error {
	return s.db.InTx(ctx, func(tx *postgres.Tx) error {
		return tx.Notify(ctx, newsChannel, newsAck+" "+strconv.FormatInt(seq, 10)+" "+name)
	})
}
