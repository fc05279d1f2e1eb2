package limitredis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"time"

	"cloakroom.dev/libs/secret"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options say where the store is.
type Options struct {
	Addresses []string // host:port of one server, or of several nodes of one cluster
	Cluster   bool     // one address is a node of a cluster, too: the others are learnt from it
	// Credentials are read for each new connection, so that a password can change. nil for none.
	Credentials func() (username string, password secret.String, err error)
	TLS         *tls.Config   // nil for none
	Database    int           // of a single server
	Timeout     time.Duration // how long a request may wait for the store; default 10 ms
	Connections int           // at most, to each server; default 32
	Prefix      string        // of all keys; default "cloakroom"
	Replicas    int           // gateways; 0: they count each other in the store
	// Now stands in for the store's own clock, in tests.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	o.Timeout = cmp.Or(o.Timeout, 10*time.Millisecond)
	o.Connections = cmp.Or(o.Connections, 32)
	o.Prefix = cmp.Or(o.Prefix, "cloakroom")
	return o
}

// dialTimeout is longer than a request waits: a connection that comes late serves the next.
const dialTimeout = time.Second

// connect makes a client that does not retry and obeys the deadline of each call. It opens no connection yet.
func connect(o Options) (redis.UniversalClient, error) {
	if len(o.Addresses) == 0 {
		return nil, errors.New("the rate limit store has no address")
	}
	quiet()
	u := &redis.UniversalOptions{
		Addrs: o.Addresses, IsClusterMode: o.Cluster || len(o.Addresses) > 1, DB: o.Database, TLSConfig: o.TLS,
		DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: o.Timeout,
		ContextTimeoutEnabled: true, MaxRetries: -1,
		PoolSize: o.Connections, MaxActiveConns: o.Connections, ConnMaxIdleTime: 5 * time.Minute,
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if o.Credentials != nil {
		u.CredentialsProviderContext = func(context.Context) (string, string, error) {
			username, password, err := o.Credentials()
			return username, password.Reveal(), err
		}
	}
	return redis.NewUniversalClient(u), nil
}

// quiet keeps the client's package from writing to stderr: what goes wrong is in the errors of calls.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
