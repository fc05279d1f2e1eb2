// Package trust is whom the gateway believes: one verifier a TokenPolicy, over key sets and a view of the revocation log
// that are kept true in the background.
//
//	TokenPolicy -> Verifier -+-> key set (one for each address, shared by the policies that name it)
//	                         +-> view <- follower <- the auth service's revocation stream
//
// Promises: policies come and go while requests run, and a policy that did not change keeps its verifier and what that
// remembers. A key set that can't be fetched makes its own policies answer 503 and no other. The gateway is ready when
// the revocation log and the auth service's own keys have been read.
package trust

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/token"
)

// Introspect asks the auth service whom a token speaks for, as its store has it now.
type Introspect func(ctx context.Context, raw string) (principal.Principal, error)

// Options is what a Trust is made of. All parts are needed but Client and Registerer.
type Options struct {
	AuthURLs   []string // the internal listeners of the auth service's replicas: keys and revocations
	Follower   string   // this gateway's name among the followers of the log, unique among replicas
	Introspect Introspect
	Client     *http.Client
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Trust makes verifiers. It is safe for use by many goroutines.
type Trust struct {
	opts     Options
	view     *token.View
	blind    *token.View // hears nothing, so that every token is asked about
	follower *token.Follower
	changed  chan struct{} // what should run is not what runs

	mu        sync.Mutex
	verifiers map[string]*token.Verifier // by the digest of the policy
	retired   []*token.Verifier          // not named by the newest table; requests of the one before may still use them
	keySets   map[keySetOptions]*keySet
}

// keySetOptions tell key sets apart.
type keySetOptions struct {
	url                          string
	refresh, maxStale, unknownID time.Duration
}

type keySet struct {
	*token.JWKS
	wanted bool
	stop   context.CancelFunc // nil while it does not run
}

// New makes a Trust; Run keeps it true.
func New(opts Options) (*Trust, error) {
	if len(opts.AuthURLs) == 0 || opts.Follower == "" || opts.Introspect == nil || opts.Log == nil {
		return nil, errors.New("trust: auth URLs, follower name, introspection and log are needed")
	}
	view := token.NewView(token.ViewOptions{Registerer: opts.Registerer})
	return &Trust{
		opts: opts, view: view, blind: token.NewView(token.ViewOptions{}),
		follower: token.NewFollower(opts.AuthURLs[0], opts.Follower, opts.Client, view,
			token.FollowerOptions{Replicas: opts.AuthURLs[1:], Log: opts.Log, Registerer: opts.Registerer}),
		changed:   make(chan struct{}, 1),
		verifiers: map[string]*token.Verifier{}, keySets: map[keySetOptions]*keySet{},
	}, nil
}

// Watch has cancel called when p is revoked, and sever a moment later, until End.
func (t *Trust) Watch(p *principal.Principal, cancel context.CancelCauseFunc, sever func()) token.Watched {
	return t.view.Watch(p, cancel, sever)
}

// Verifiers returns a verifier for each policy, by digest, and retires those of policies that are not among them.
func (t *Trust) Verifiers(policies []*routing.TokenPolicy) map[string]*token.Verifier {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, old := range t.retired {
		old.Close()
	}
	t.retired = nil
	for _, set := range t.keySets {
		set.wanted = false
	}
	next := make(map[string]*token.Verifier, len(policies))
	for _, p := range policies {
		set := t.keySet(p.Spec)
		if v := t.verifiers[p.Digest]; v != nil {
			next[p.Digest] = v
			continue
		}
		next[p.Digest] = t.verifier(p.Spec, set)
	}
	for digest, v := range t.verifiers {
		if next[digest] == nil {
			t.retired = append(t.retired, v)
		}
	}
	t.verifiers = next
	t.wake()
	return next
}

// verifier makes the verifier of one policy.
func (t *Trust) verifier(spec *v1alpha1.TokenPolicySpec, keys token.KeySource) *token.Verifier {
	policy := token.Policy{
		Issuer: string(spec.Issuer), Audiences: stringsOf(spec.Audiences), Algorithms: stringsOf(spec.Algorithms),
		Leeway: min(spec.Leeway.Std(), maxLeeway), CacheSize: cmp.Or(int(spec.Cache.MaxEntries), -1),
		MaxStaleness: spec.Revocation.MaxStaleness.Std(),
	}
	view := t.view
	switch {
	case spec.Revocation.Mode == v1alpha1.RevocationIntrospect:
		view, policy.Introspect = t.blind, t.opts.Introspect
	case spec.Revocation.OnUnavailable == v1alpha1.UnavailableIntrospect:
		policy.Introspect = t.opts.Introspect
	}
	return token.NewVerifier(keys, view, policy, t.opts.Registerer)
}

// maxLeeway is the most that package token takes.
const maxLeeway = 30 * time.Second

func stringsOf[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

// keySet finds or makes the key set of a policy. Run starts it.
func (t *Trust) keySet(spec *v1alpha1.TokenPolicySpec) *keySet {
	own := t.ownKeys()
	name := keySetOptions{
		url:     cmp.Or(spec.JWKS.URL, own[0]),
		refresh: spec.JWKS.RefreshInterval.Std(), maxStale: spec.JWKS.MaxStale.Std(), unknownID: spec.JWKS.UnknownKeyCooldown.Std(),
	}
	set := t.keySets[name]
	if set == nil {
		var replicas []string
		if name.url == own[0] {
			replicas = own[1:]
		}
		set = &keySet{JWKS: token.NewJWKS(name.url, t.opts.Client, token.JWKSOptions{
			Replicas: replicas, Name: name.url, RefreshEvery: name.refresh, MaxStale: name.maxStale, Cooldown: name.unknownID,
			Log: t.opts.Log, Registerer: t.opts.Registerer,
		})}
		t.keySets[name] = set
	}
	set.wanted = true
	return set
}

// ownKeys are the addresses of the auth service's key set, one a replica.
func (t *Trust) ownKeys() []string {
	urls := make([]string, len(t.opts.AuthURLs))
	for i, base := range t.opts.AuthURLs {
		urls[i] = strings.TrimSuffix(base, "/") + "/.well-known/jwks.json"
	}
	return urls
}

// Ready returns nil once the revocation log and the auth service's keys have been read. Keys of others are not waited
// for: they concern their own policies only.
func (t *Trust) Ready(ctx context.Context) error {
	if err := t.follower.Ready(ctx); err != nil {
		return err
	}
	own := t.ownKeys()[0]
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, set := range t.keySets {
		if name.url == own && set.wanted {
			if err := set.Ready(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Trust) wake() {
	select {
	case t.changed <- struct{}{}:
	default: // Run will look in any case
	}
}

// Run follows the revocation log and keeps the key sets fresh until ctx ends.
func (t *Trust) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return t.follower.Run(ctx) })
	for {
		t.reconcile(ctx, group)
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-t.changed:
		}
	}
}

// reconcile starts the key sets that are wanted and stops those that are not.
func (t *Trust) reconcile(ctx context.Context, group *errgroup.Group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, set := range t.keySets {
		switch {
		case set.wanted && set.stop == nil:
			var running context.Context
			running, set.stop = context.WithCancel(ctx)
			group.Go(func() error { return set.Run(running) })
		case !set.wanted:
			if set.stop != nil {
				set.stop()
			}
			delete(t.keySets, name)
		}
	}
}
