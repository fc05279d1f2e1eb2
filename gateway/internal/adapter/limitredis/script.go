package limitredis

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name that Redis gives a script
	"encoding/hex"

	"github.com/redis/go-redis/v9"
)

// script is run by its name, and told to the store when that does not know it.
type script struct{ source, name string }

func newScript(source string) script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // the name that Redis gives a script
	return script{source, hex.EncodeToString(sum[:])}
}

func (s script) run(ctx context.Context, client redis.UniversalClient, keys []string, args ...any) *redis.Cmd {
	cmd := call(ctx, client, "evalsha", s.name, keys, args)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = call(ctx, client, "eval", s.source, keys, args)
	}
	return cmd
}

func call(ctx context.Context, client redis.UniversalClient, how, what string, keys []string, args []any) *redis.Cmd {
	all := make([]any, 3, 3+len(keys)+len(args))
	all[0], all[1], all[2] = how, what, len(keys)
	for _, k := range keys {
		all = append(all, k)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	cmd.SetFirstKeyPos(3)
	_ = client.Process(ctx, once{cmd}) // the error is in cmd
	return cmd
}

// once is sent once. A client of a cluster repeats what it got no answer to, whatever it is told of retries, and a charge that was made
// twice is one too many.
type once struct{ *redis.Cmd }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }
