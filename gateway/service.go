// Package gateway is the one door: it finds out who is calling, decides whether they may pass, and streams the request to
// the service behind.
//
// New reads top to bottom as the whole gateway: upstreams, whom to believe (keys, revocations, API keys), limits, the
// path of a request, the merged contract, and the configuration that may change while requests run. Routing rules are
// the core's, package routing; what a request goes through is package edge.
package gateway

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"cloakroom.dev/gateway/console"
	"cloakroom.dev/gateway/internal/adapter/apikey"
	"cloakroom.dev/gateway/internal/adapter/authapi"
	"cloakroom.dev/gateway/internal/adapter/cli"
	"cloakroom.dev/gateway/internal/adapter/contract"
	"cloakroom.dev/gateway/internal/adapter/edge"
	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
	"cloakroom.dev/gateway/internal/adapter/edge/wire"
	"cloakroom.dev/gateway/internal/adapter/trust"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/process"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/web"
)

//go:embed openapi.yaml
var ownContract []byte

// Config is what one gateway is made from.
type Config struct {
	// Boot is the gateway's own object, read once at start.
	Boot *v1alpha1.GatewayConfig
	// AuthInternalURL takes the place of Boot's where it is not empty.
	AuthInternalURL string
	// Auth and Files, where set, are services of the same process, in place of Boot's URLs: they are called, not sent to.
	Auth, Files Inside
	// BaseDir is where Boot's relative paths start; empty is the working directory.
	BaseDir string
}

// Inside is a service of the same process; a hop.Listener is one.
type Inside = edge.Inside

// Deps are what the gateway shares with its process. All are needed; Registerer must be the gateway's own.
type Deps = process.Deps

// Service is one gateway. It serves when Handler is served, on a listener from Listen, and Run runs.
type Service struct {
	boot     *v1alpha1.GatewayConfig
	ownPaths []string
	trust    *trust.Trust
	proxies  web.TrustedProxies
	limits   limits
	edge     *edge.Edge
	live     *liveConfig
	public   *run.Ops // of which only the answer for everybody is served
	handler  http.Handler
	client   *http.Client
}

// New opens and checks everything and starts nothing. It fails when the resources can't be read; a Route or a policy that
// is wrong refuses what it claims and harms no other.
func New(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	spec := cfg.Boot.Spec
	at, err := addresses(cfg)
	if err != nil {
		return nil, err
	}
	trusted, err := trustedProxies(spec.TrustedProxies)
	if err != nil {
		return nil, err
	}
	client := internalClient(cfg)
	auth := authapi.New(texts(at.authInternal), client)
	believed, err := trust.New(trust.Options{
		AuthURLs: texts(at.authInternal), Follower: followerName(), Introspect: auth.Introspect,
		Client: client, Log: deps.Log, Registerer: deps.Registerer,
	})
	if err != nil {
		return nil, err
	}
	docs, err := contract.New(ownContract, []contract.Source{
		{Name: "auth", URLs: below(at.auth, "/openapi.yaml")}, {Name: "files", URLs: below(at.files, "/openapi.yaml")},
	}, client, deps.Log)
	if err != nil {
		return nil, err
	}
	counted, err := newLimits(cfg, deps)
	if err != nil {
		return nil, err
	}
	s := &Service{boot: cfg.Boot, trust: believed, proxies: trusted, limits: counted, client: client}
	s.public = run.NewOps(prometheus.NewRegistry())
	s.public.Ready("gateway", s.Ready)
	var own http.Handler
	if own, s.ownPaths, err = ownPaths(s.public, docs, spec.Console.Enabled); err != nil {
		return nil, err
	}
	behind, err := upstreams(cfg, at, deps)
	if err != nil {
		return nil, err
	}
	s.edge, err = edge.New(edge.Options{
		Upstreams: behind, Limiter: s.limits, Revocations: believed, Trust: trusted,
		APIKeys: apikey.New(exchangeWith(auth), apikey.Options{Registerer: deps.Registerer}),
		Own:     own, OwnPaths: s.ownPaths,
		Log: deps.Log, Registerer: deps.Registerer, Tracer: deps.Tracer,
	})
	if err != nil {
		return nil, err
	}
	if s.live, err = loadConfig(ctx, cfg.Boot, believed, s.edge, counted, deps); err != nil {
		return nil, err
	}
	s.handler = web.Edge(s.edge, web.EdgeOptions{
		Listener: "gateway", Log: deps.Log, Registerer: deps.Registerer, Tracer: deps.Tracer, Trust: trusted, Strangers: true,
	})
	return s, nil
}

// exchangeWith is the auth service's answer as the key cache wants it.
func exchangeWith(auth *authapi.Client) apikey.Exchange {
	return func(ctx context.Context, key string) (string, time.Duration, error) {
		grant, err := auth.Exchange(ctx, key)
		return grant.AccessToken, grant.ExpiresIn, err
	}
}

// ownPaths are what the gateway answers itself, on every host, whatever Routes there are.
func ownPaths(ready *run.Ops, docs *contract.Contract, withConsole bool) (http.Handler, []string, error) {
	m := web.NewMux()
	m.Get("/livez", "gateway.live", web.Quiet(http.HandlerFunc(run.Live)))
	m.Get("/readyz", "gateway.ready", web.Quiet(http.HandlerFunc(ready.ServePublicReady)))
	m.Get("/version", "gateway.version", http.HandlerFunc(run.ServeVersion))
	m.Get("/openapi.yaml", "gateway.openapi", docs.YAML())
	m.Get("/openapi.json", "gateway.openapi_json", docs.JSON())
	m.Get("/docs", "gateway.docs", docs.Page())
	if withConsole {
		page, err := console.New()
		if err != nil {
			return nil, nil, err
		}
		for _, path := range page.Paths() {
			m.Get(path, "gateway.console", page)
		}
	}
	var paths []string
	for _, route := range m.Routes() {
		if !slices.Contains(paths, route.Path) {
			paths = append(paths, route.Path)
		}
	}
	return m, paths, nil
}

// OpsHandlers are what the ops port shows of this gateway besides what every service's does.
func (s *Service) OpsHandlers() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /-/explain":   cli.Handler(s.edge.Table, s.ownPaths),
		"GET /-/upstreams": web.JSON(func(context.Context, struct{}) (map[string][]upstream.Status, error) { return s.edge.Upstreams(), nil }),
	}
}

// followerName tells this gateway apart among the followers of the revocation log: one name a process, so that the auth
// service can count who has heard.
func followerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "gateway"
	}
	var unique [4]byte
	_, _ = rand.Read(unique[:]) // never fails
	return fmt.Sprintf("gateway/%s/%s", host, hex.EncodeToString(unique[:]))
}

// internalClient asks the services for what the gateway itself needs.
func internalClient(cfg Config) *http.Client {
	dialer := &net.Dialer{Timeout: 3 * time.Second}
	inside := map[string]Inside{authInside + ":80": cfg.Auth, filesInside + ":80": cfg.Files}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if service := inside[address]; service != nil {
					return service.Dial(ctx)
				}
				return dialer.DialContext(ctx, network, address)
			},
			MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Handler serves clients. Its listener should come from Listen, and its server be set up by ConfigureServer.
func (s *Service) Handler() http.Handler { return s.handler }

// Listen wraps the public listener: it bounds the open connections, all and of each address, and refuses, before net/http parses them, requests
// that two parsers could read differently.
func (s *Service) Listen(l net.Listener) net.Listener {
	limits := s.boot.Spec.Limits
	open, parked := s.edge.Connections()
	s.edge.ConnectionsAtMost(int(limits.MaxConnections))
	return wire.Listen(l, wire.Limits{
		Connections: int(limits.MaxConnections), HeaderBytes: int(limits.MaxHeaderBytes.Bytes()),
		PerAddress: int(limits.MaxConnectionsPerAddress), Proxy: s.proxies.Trusts, Refused: s.edge.Crowded, Open: open, Parked: parked, Park: parkAfter,
	})
}

// parkAfter is how long a connection may wait for its next request before it costs next to nothing. Whoever asks again sooner
// finds everything as it was.
const parkAfter = 5 * time.Second

// ConfigureServer sets the limits of GatewayConfig on the public server.
func (s *Service) ConfigureServer(srv *http.Server) {
	limits := s.boot.Spec.Limits
	srv.MaxHeaderBytes = int(limits.MaxHeaderBytes.Bytes())
	srv.ReadHeaderTimeout = limits.ReadHeaderTimeout.Std()
	srv.IdleTimeout = limits.IdleTimeout.Std()
	srv.ConnState = wire.ConnState
}

// Ready returns nil when the gateway has its configuration, the signing keys and the revocation log.
func (s *Service) Ready(ctx context.Context) error { return s.trust.Ready(ctx) }

// Drain makes the public readiness answer 503. Requests are still served.
func (s *Service) Drain() { s.public.Drain() }

// Run keeps keys, revocations, limits and configuration until ctx ends. Upgraded connections, which a server's shutdown
// does not know, then get their time to end; until they have, revocations go on cutting them.
func (s *Service) Run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, working := errgroup.WithContext(working)
	for _, task := range []func(context.Context) error{s.trust.Run, s.limits.run, s.live.run, s.edge.Run} {
		group.Go(func() error { return task(working) })
	}
	group.Go(func() error {
		defer stop()
		select {
		case <-ctx.Done():
		case <-working.Done():
		}
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.boot.Spec.Drain.Timeout.Std())
		defer cancel()
		s.edge.Drain(drain)
		return nil
	})
	return group.Wait()
}

// Close closes the connections to the services and to the rate limit store. Call it when Run has returned and no request runs.
func (s *Service) Close() error {
	s.edge.Close()
	s.client.CloseIdleConnections()
	return s.limits.close()
}
