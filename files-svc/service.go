// Package filessvc is the files service: it takes people's files in, keeps them, and gives them back to nobody else.
//
// New reads top to bottom as the whole service: who is believed (keys and the revocation log of the auth service), where
// rows and bytes live, the core over both, what the operator allows, and the HTTP edge in front. Run keeps all of it going:
// keys and revocations are followed, what nobody needs any more is reaped, deleted people are erased, webhooks are told. Nothing is started
// by New, and nothing is kept only in memory that a client was told of.
package filessvc

import (
	"context"
	_ "embed" // the contract
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/text/unicode/norm"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/process"
	"cloakroom.dev/libs/replica"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/files-svc/internal/adapter/httpapi"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/webhook"
)

//go:embed openapi.yaml
var contract []byte

// Config is what one files service is made from.
type Config struct {
	// Boot is the service's own object, read once at start.
	Boot *v1alpha1.FilesConfig
	// BaseDir is where relative paths of Boot begin; empty means the working directory.
	BaseDir string
	// AuthURL is the auth service's internal listener; empty means the one Boot names.
	AuthURL string
	// PublicBaseURL overrides the boot object's: where people reach the gateway.
	PublicBaseURL string

	pace  httpapi.Pace    // for tests
	hooks webhook.Options // for tests
}

// Deps are what the service shares with its process. All are needed; Registerer must be the service's own.
type Deps = process.Deps

// Service is one files service. It serves when its handler is served and Run runs.
type Service struct {
	core    *files.Service
	auth    *authority
	policy  *livePolicy
	eraser  *eraser
	hooks   *hooks
	handler http.Handler
	door    *run.Door
	stores  *stores
}

// New opens and checks everything and starts nothing. The caller must Close the service.
func New(ctx context.Context, cfg Config, deps Deps) (_ *Service, err error) {
	policy, err := loadPolicy(ctx, cfg.Boot, deps)
	if err != nil {
		return nil, err
	}
	stores, err := openStores(ctx, cfg, deps)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stores.close())
		}
	}()
	view := token.NewView(token.ViewOptions{MaxStaleness: cfg.Boot.Spec.Verifier.MaxStaleness.Std(), Registerer: deps.Registerer})
	cursors, err := stores.cursorKey(ctx)
	if err != nil {
		return nil, err
	}
	scanning := scan(cfg.Boot.Spec)
	core, err := files.New(stores.rows, traced(stores.blobs, deps.Tracer), newID, norm.NFC.String, deps.Log, files.Options{
		Policy: policy.get, Meter: newMeter(deps.Registerer), RestoreHorizon: restoreHorizon(cfg.Boot.Spec),
		Scrub: scrubPace(cfg.Boot.Spec), Scan: scanning, Turns: stores.turns, Holds: stores.holds,
		Barred: func(owner files.OwnerID) (bool, error) { return view.Barred(string(owner)) },
	})
	if err != nil {
		return nil, fmt.Errorf("files core: %w", err)
	}
	meterLoad(deps.Registerer, core)
	meterScanner(deps.Registerer, scanning.Scanner)
	hooks, err := newHooks(ctx, cfg, stores.catalogue, deps)
	if err != nil {
		return nil, err
	}
	eraser := newEraser(core, deps.Log, deps.Registerer)
	auth := newAuthority(cfg, deps, view, eraser.hear)

	mux := web.NewMux()
	transfers := httpapi.Mount(mux, core, auth.verifier.Require, web.NewCursorCodec(cursors), policy.accepted, contract,
		httpapi.Options{
			Registerer: deps.Registerer, Pace: cfg.pace, Thumbnails: thumbnails(cfg.Boot.Spec, deps.Registerer),
			PublicBaseURL: cfg.publicBaseURL(), Account: auth.account,
		})
	s := &Service{
		core: core, auth: auth, policy: policy, eraser: eraser, hooks: hooks, stores: stores,
	}
	s.door = run.NewDoor("files", s.Ready)
	s.handler = web.Edge(s.door.Before(withDialects(mux, cfg.Boot.Spec.Dialects, core, transfers, auth.verifier)), web.EdgeOptions{
		Listener: "files", Log: deps.Log, Registerer: deps.Registerer, Tracer: deps.Tracer,
		Trust: web.TrustedProxies{Hops: 1}, // the gateway in front writes exactly one address
	})
	return s, nil
}

// Handler serves clients, through the gateway.
func (s *Service) Handler() http.Handler { return s.handler }

// Drain makes the listener say that it is not ready. Requests are still served.
func (s *Service) Drain() { s.door.Drain() }

// Ready returns nil when requests can be served: tokens can be verified, revocations are known, the stores answer, and
// there is a policy.
func (s *Service) Ready(ctx context.Context) error {
	return errors.Join(s.auth.ready(ctx), s.core.Ready(ctx), s.policy.ready(ctx))
}

// Run follows, reaps and erases until ctx ends. End it after the last request: uploads need it.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.auth.run(ctx) })
	group.Go(func() error { return s.core.Run(ctx) })
	group.Go(func() error { return s.eraser.run(ctx) })
	group.Go(func() error { return s.policy.run(ctx) })
	group.Go(func() error { return s.hooks.run(ctx) })
	group.Go(func() error { return s.stores.run(ctx) })
	return group.Wait()
}

// Close closes the stores. Call it when Run has returned and no request runs.
func (s *Service) Close() error {
	s.auth.close()
	s.hooks.close()
	return s.stores.close()
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// authority is whom this service believes: the auth service's keys, and its word on what no longer holds.
type authority struct {
	keys     *token.JWKS
	view     *token.View
	follower *token.Follower
	verifier *token.Verifier
	at       *replica.Set // the auth service's internal listeners
	client   *http.Client
}

func newAuthority(cfg Config, deps Deps, view *token.View, onEntry func(context.Context, token.Entry) error) *authority {
	spec := cfg.Boot.Spec.Verifier
	urls := []string{cfg.AuthURL}
	if cfg.AuthURL == "" {
		urls = texts(spec.AuthURLs())
	}
	keys := make([]string, len(urls))
	for i, url := range urls {
		keys[i] = url + "/.well-known/jwks.json"
	}
	a := &authority{view: view, at: replica.New(urls...), client: &http.Client{Transport: &http.Transport{}}} // its own connections, and never through a proxy
	a.keys = token.NewJWKS(keys[0], a.client, token.JWKSOptions{Replicas: keys[1:], Log: deps.Log, Registerer: deps.Registerer})
	a.follower = token.NewFollower(urls[0], "files-"+newID(), a.client, a.view, token.FollowerOptions{
		Replicas: urls[1:], OnEntry: a.hear(onEntry), Log: deps.Log, Registerer: deps.Registerer,
	})
	a.verifier = token.NewVerifier(a.keys, a.view, token.Policy{
		Issuer: string(spec.Issuer), Audiences: texts(spec.Audiences), Algorithms: texts(spec.Algorithms), Leeway: spec.Leeway.Std(),
	}, deps.Registerer)
	return a
}

// hear looks for the new keys at once when one was killed, and passes every entry on.
func (a *authority) hear(next func(context.Context, token.Entry) error) func(context.Context, token.Entry) error {
	return func(ctx context.Context, e token.Entry) error {
		if e.Kind == token.KindSigningKey {
			a.keys.Refresh()
		}
		return next(ctx, e)
	}
}

func (a *authority) ready(ctx context.Context) error {
	return errors.Join(a.keys.Ready(ctx), a.follower.Ready(ctx))
}

func (a *authority) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.keys.Run(ctx) })
	group.Go(func() error { return a.follower.Run(ctx) })
	return group.Wait()
}

func (a *authority) close() {
	a.verifier.Close()
	a.client.CloseIdleConnections()
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = string(t)
	}
	return out
}
