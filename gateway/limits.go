package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"cloakroom.dev/gateway/internal/adapter/limitmem"
	"cloakroom.dev/gateway/internal/adapter/limitredis"
	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/secret"
)

// limits counts requests where the boot object says.
type limits struct {
	routing.Limiter
	use   func(labels map[string]bool) // told of the rules in use
	run   func(context.Context) error
	close func() error
}

// newLimits makes the limiter. A store that can't be reached is no error: the gateway does without until it can.
func newLimits(cfg Config, deps Deps) (limits, error) {
	memory := limitmem.New(limitmem.Options{}, deps.Registerer)
	at := cfg.Boot.Spec.Limits.Store.Redis
	if at == nil {
		return limits{Limiter: memory, use: memory.Use, run: memory.Run, close: func() error { return nil }}, nil
	}
	opts, err := cfg.redis(at)
	if err != nil {
		return limits{}, fmt.Errorf("rate limit store: %w", err)
	}
	shared, err := limitredis.New(opts, memory, deps.Log, deps.Registerer)
	if err != nil {
		return limits{}, fmt.Errorf("rate limit store: %w", err)
	}
	both := func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return memory.Run(ctx) })
		group.Go(func() error { return shared.Run(ctx) })
		return group.Wait()
	}
	return limits{Limiter: shared, use: memory.Use, run: both, close: shared.Close}, nil
}

func (c Config) redis(at *v1alpha1.RedisLimitStore) (limitredis.Options, error) {
	opts := limitredis.Options{
		Cluster: at.Cluster, Database: int(at.Database), Timeout: at.Timeout.Std(), Connections: int(at.MaxConnections), Prefix: at.Prefix,
	}
	for _, address := range at.Addresses {
		opts.Addresses = append(opts.Addresses, string(address))
	}
	if at.Replicas != nil {
		opts.Replicas = int(*at.Replicas)
	}
	if at.Password != nil {
		opts.Credentials = func() (username string, password secret.String, err error) { return c.credentials(at) }
		if _, _, err := opts.Credentials(); err != nil { // a name that is misspelt is known at the start
			return opts, err
		}
	}
	var err error
	opts.TLS, err = c.redisTLS(at.TLS)
	return opts, err
}

func (c Config) credentials(at *v1alpha1.RedisLimitStore) (username string, password secret.String, err error) {
	if at.Username != nil {
		name, err := c.secret(*at.Username)
		if err != nil {
			return "", password, fmt.Errorf("read the username: %w", err)
		}
		username = name.Reveal()
	}
	if password, err = c.secret(*at.Password); err != nil {
		return "", password, fmt.Errorf("read the password: %w", err)
	}
	return username, password, nil
}

func (c Config) redisTLS(at *v1alpha1.RedisTLS) (*tls.Config, error) {
	if at == nil {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: at.ServerName}
	if at.CA == "" {
		return config, nil
	}
	text, err := os.ReadFile(c.path(string(at.CA)))
	if err != nil {
		return nil, fmt.Errorf("read the authorities: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", at.CA)
	}
	return config, nil
}

func (c Config) secret(ref v1alpha1.SecretRef) (secret.String, error) {
	at := ref.Ref()
	if at.File != "" {
		at.File = c.path(at.File)
	}
	return at.Read()
}

// path is where a file is that the boot object names.
func (c Config) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.BaseDir, p)
}
