package limitredis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"cloakroom.dev/gateway/internal/gcra"
	"cloakroom.dev/gateway/internal/routing"

	"github.com/redis/go-redis/v9"
)

// store is what the limiter asks of Redis.
type store interface {
	take(ctx context.Context, charges []routing.Charge, verdicts []routing.Verdict) error
	// beat says that this gateway lives and returns how many do.
	beat(ctx context.Context) (int, error)
	leave(ctx context.Context) error
	connections() int
	close() error
}

//go:embed take.lua
var takeSource string

//go:embed beat.lua
var beatSource string

var takeScript, beatScript = newScript(takeSource), newScript(beatSource)

// unit is the store's clock's: a script's numbers are exact to 2^53, which microseconds since 1970 fit into and
// nanoseconds do not. A window is a whole number of milliseconds.
const unit = time.Microsecond

type redisStore struct {
	client redis.UniversalClient
	prefix string
	member string
	now    func() time.Time // nil for the store's own clock
}

func newRedisStore(client redis.UniversalClient, opts Options) *redisStore {
	var unique [8]byte
	_, _ = rand.Read(unique[:]) // never fails
	// The braces put all keys into one slot of a cluster: only then may one script touch several.
	return &redisStore{client: client, prefix: "{" + opts.Prefix + "}:", member: hex.EncodeToString(unique[:]), now: opts.Now}
}

func (s *redisStore) take(ctx context.Context, charges []routing.Charge, verdicts []routing.Verdict) error {
	keys, args := make([]string, len(charges)), make([]any, 1, 1+6*len(charges))
	args[0] = ""
	if s.now != nil {
		args[0] = s.now().UnixMicro()
	}
	for i, c := range charges {
		keys[i] = s.key(c)
		q := gcra.New(c.Rule, unit)
		interval, tolerance := q.Interval(), q.Tolerance()
		shadow := 0
		if c.Rule.Shadow {
			shadow = 1
		}
		args = append(args, interval.Units, interval.Frac, tolerance.Units, tolerance.Frac, c.Rule.Limit, shadow)
	}
	answer, err := takeScript.run(ctx, s.client, keys, args...).Int64Slice()
	switch {
	case err != nil:
		return fmt.Errorf("charge in the rate limit store: %w", err)
	case len(answer) != 3*len(charges):
		return fmt.Errorf("charge in the rate limit store: %d numbers for %d charges", len(answer), len(charges))
	}
	for i, c := range charges {
		q, said := gcra.New(c.Rule, unit), answer[3*i:]
		verdicts[i] = q.Verdict(gcra.Instant{Units: said[1], Frac: said[2]}, 0, said[0] == 1)
	}
	return nil
}

// key is a hash: what a rule counts by may be a token or a person's address, and whoever reads the store need not know.
func (s *redisStore) key(c routing.Charge) string {
	sum := sha256.Sum256([]byte(c.Rule.Policy + "\x00" + c.Rule.Name + "\x00" + c.Key.String()))
	return s.prefix + base64.RawURLEncoding.EncodeToString(sum[:16])
}

func (s *redisStore) beat(ctx context.Context) (int, error) {
	n, err := beatScript.run(ctx, s.client, []string{s.prefix + "gateways"}, s.member, memberLife.Milliseconds()).Int()
	if err != nil {
		s.relearn(ctx)
		return 0, fmt.Errorf("count gateways in the rate limit store: %w", err)
	}
	return n, nil
}

// relearn asks a cluster who serves what, beside the calls under way: a primary that is gone is otherwise asked for ten seconds more,
// while its replica has long taken over. The client does it five times a second at most.
func (s *redisStore) relearn(ctx context.Context) {
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}

func (s *redisStore) leave(ctx context.Context) error {
	return s.client.ZRem(ctx, s.prefix+"gateways", s.member).Err()
}

func (s *redisStore) connections() int { return int(s.client.PoolStats().TotalConns) }

func (s *redisStore) close() error { return s.client.Close() }
