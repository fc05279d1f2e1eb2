// Package authsvc is the auth service: people, their sessions, their keys, and the log of what no longer holds.
//
// New reads top to bottom as the whole service. It opens and checks what it is given (secrets, store, policy), builds
// the core around its adapters, and brings the store to where requests can be served; Run does what has to be done
// while it serves. Everything it promises is the core's, package identity; this package only chooses the parts.
package authsvc

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/process"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/adapter/argon2"
	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/adapter/httpapi"
	"cloakroom.dev/auth-svc/internal/adapter/jwt"
	"cloakroom.dev/auth-svc/internal/adapter/localview"
	"cloakroom.dev/auth-svc/internal/adapter/postgres"
	"cloakroom.dev/auth-svc/internal/identity"
)

//go:embed openapi.yaml
var contract []byte

// Config is what one auth service is made from.
type Config struct {
	// Boot is the service's own object, read once at start.
	Boot *v1alpha1.AuthConfig
	// BaseDir is where relative paths of Boot begin; empty means the working directory.
	BaseDir string
	// PublicBaseURL overrides the boot object's: where people reach the gateway.
	PublicBaseURL string
	// OnBootstrap gets the first administrator's secrets, at the very first start only, just before they become
	// true; it must keep them durably. Nil writes them to the file that Boot names. Without either nobody is made.
	OnBootstrap func(Bootstrap) error
}

// Deps are what the service shares with its process. All are needed; Registerer must be the service's own.
type Deps = process.Deps

// Service is one auth service. It serves when its handlers are served and Run runs.
type Service struct {
	core     *identity.Service
	hasher   *argon2.Hasher
	revoked  *localview.Store
	policy   *livePolicy
	mailing  mailing
	public   http.Handler
	internal http.Handler
	door     *run.Door
	close    func() error
	// replicated is nil where there is one replica.
	replicated *postgres.Store
}

// HelpHashing must come first in the main function of a program that runs the service: passwords are hashed by processes of
// that same program, started as helpers, and in those it does not return.
func HelpHashing() { argon2.Main() }

// New opens and checks everything and starts nothing. At the very first start it makes the signing keys and the first
// administrator. The caller must Close the service.
func New(ctx context.Context, cfg Config, deps Deps) (_ *Service, err error) {
	spec := cfg.Boot.Spec
	p, err := openParts(ctx, cfg, deps)
	if err != nil {
		return nil, err
	}
	store, err := openStore(ctx, cfg, deps, false)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.close())
		}
	}()
	if !p.hasher.Apart(deps.Log) {
		deps.Log.DebugContext(ctx, "passwords are hashed in this process: the program does not call HelpHashing")
	}
	view := token.NewView(token.ViewOptions{Registerer: deps.Registerer})
	revoked := localview.New(store, view, deps.Log, deps.Registerer)

	if store.replicated != nil {
		p.options.Peers, p.options.Places, p.options.Tail = store.replicated, store.replicated, store.replicated
	}
	core, err := identity.New(revoked, p.signer, p.hasher, p.options)
	if err != nil {
		return nil, err
	}
	if err := prepareCore(ctx, core, p.signer); err != nil {
		return nil, err
	}
	if err := revoked.Load(ctx); err != nil {
		return nil, err
	}
	if err := bootstrap(ctx, core, cfg, deps.Log); err != nil {
		return nil, err
	}
	observeKeys(core, deps.Registerer)
	observeGuard(core, deps.Registerer)

	verifier := newVerifier(core, view, spec, deps.Registerer)
	api := httpapi.New(httpapi.Options{
		Core: core, KeySet: jwt.KeySet, Contract: contract, AckApplied: revoked.Acked,
		Cursors:  web.NewCursorCodec(p.keys.cursor),
		Verifier: verifier,
		Cookies:  p.policy.getCookies, PublicOrigin: originOf(cfg.publicBaseURL()),
	})
	s := &Service{
		core: core, hasher: p.hasher, revoked: revoked, policy: p.policy, mailing: p.mailing, close: store.close,
		replicated: store.replicated,
	}
	s.serve(api, dialect.Deps{
		Core: core, Verifier: verifier, MAC: p.keys.mac, Envelope: jwt.NewEnvelope(p.signer, core.PublishedKeys),
	}, cfg.Boot, deps)
	return s, nil
}

// serve makes what the listeners serve.
func (s *Service) serve(api *httpapi.API, dialects dialect.Deps, boot *v1alpha1.AuthConfig, deps Deps) {
	s.door = run.NewDoor("auth", s.Ready)
	s.public = web.Edge(s.door.Before(withDialects(api.Public(), boot, dialects)), web.EdgeOptions{
		Listener: "auth", Log: deps.Log, Registerer: deps.Registerer, Tracer: deps.Tracer,
		Trust: web.TrustedProxies{Hops: 1}, // the gateway in front writes exactly one address
	})
	s.internal = web.Edge(api.Internal(), web.EdgeOptions{
		Listener: "auth-internal", Log: deps.Log, Registerer: deps.Registerer, Tracer: deps.Tracer,
		Trust: web.TrustedProxies{Hops: 1}, // who asks in somebody's name says from where they came
	})
}

// newVerifier checks the tokens this very service has signed, with the keys it publishes.
func newVerifier(core *identity.Service, view *token.View, spec v1alpha1.AuthConfigSpec, reg prometheus.Registerer) *token.Verifier {
	return token.NewVerifier(jwt.KeySource{Published: core.PublishedKeys}, view, token.Policy{
		Issuer: string(spec.Issuer), Audiences: audiences(spec),
		// Every key names its one algorithm; all are listed, since keys of a former policy live on for a while.
		Algorithms: []string{"EdDSA", "ES256", "ES512", "RS256", "RS512"},
	}, reg)
}

// prepareCore brings the store to where requests can be served, and fails at once where the first request would: with keys
// that the configured secret can't open.
func prepareCore(ctx context.Context, core *identity.Service, signer *jwt.Signer) error {
	if err := core.Prepare(ctx); err != nil {
		return fmt.Errorf("prepare the store: %w", err)
	}
	published, err := core.PublishedKeys(ctx)
	if err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	for _, k := range published {
		if k.State == identity.KeyRetiring {
			continue // it never signs again
		}
		if err := signer.Check(k); err != nil {
			return fmt.Errorf("is keyEncryption the secret of this store? %w", err)
		}
	}
	return nil
}

// Handler serves clients, through the gateway.
func (s *Service) Handler() http.Handler { return s.public }

// InternalHandler serves the other services. It asks nobody who they are: only they may reach it.
func (s *Service) InternalHandler() http.Handler { return s.internal }

// OpsHandlers are what the ops port shows besides metrics and health, by pattern: the mails of development.
func (s *Service) OpsHandlers() map[string]http.Handler { return s.mailing.ops }

// Drain makes the public listener say that it is not ready. Requests are still served.
func (s *Service) Drain() { s.door.Drain() }

// Ready returns nil when requests can be served.
func (s *Service) Ready(ctx context.Context) error {
	return errors.Join(s.core.Ready(ctx), s.revoked.Ready(ctx))
}

// Run looks after keys, sweeps, the view of the log, the policy and the memory of hashes until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.core.Run(ctx) })
	group.Go(func() error { return s.core.RunMail(ctx) })
	group.Go(func() error { return s.hasher.Run(ctx) })
	group.Go(func() error { return s.revoked.Run(ctx) })
	group.Go(func() error { return s.policy.run(ctx) })
	if s.replicated != nil {
		group.Go(func() error { return s.core.RunPeers(ctx) })
		group.Go(func() error { return s.hear(ctx) })
	}
	return group.Wait()
}

// hear passes on what other replicas have done. What is missed is found a second later, by those who look anyway.
func (s *Service) hear(ctx context.Context) error {
	err := s.replicated.Listen(ctx, postgres.News{
		LogGrew:        func() { s.core.LogGrew(); s.revoked.LogGrew() },
		FollowersMoved: s.core.PeersMoved,
		Acked:          s.core.AckedElsewhere,
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Close closes the store. Call it when Run has returned and no request runs.
func (s *Service) Close() error { return s.close() }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func audiences(spec v1alpha1.AuthConfigSpec) []string {
	list := make([]string, len(spec.Audiences))
	for i, a := range spec.Audiences {
		list[i] = string(a)
	}
	return list
}

func hashing(h v1alpha1.Hashing) argon2.Options {
	waiting := int(h.Gate.Queue)
	if waiting == 0 {
		waiting = -1 // the resource says 0 for "no line"
	}
	return argon2.Options{
		Params: argon2.Params{
			MemoryKiB: uint32(h.Argon2id.Memory.Bytes() >> 10),
			Passes:    uint32(h.Argon2id.Iterations),
			Lanes:     uint8(h.Argon2id.Parallelism),
		},
		MemoryBytes: h.Gate.Memory.Bytes(), Waiting: waiting, MaxWait: h.Gate.MaxWait.Std(),
	}
}
