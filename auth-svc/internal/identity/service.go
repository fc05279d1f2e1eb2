package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Options are what New can do without or has a default for; NewID, Policy and MAC are needed.
type Options struct {
	NewID  func() string // UUIDv7 as text
	Policy func() Policy // read at each use, so that it can change while the service runs
	MAC    MAC           // proves refresh tokens and API keys ours before the store is asked

	Log      *slog.Logger // default: discard
	Observer Observer     // default: none
	Notary   Notary       // signs the audit trail; default: nobody does
	Mailer   Mailer       // default: none, and then no mail is written
	Letters  Letters      // needed with a Mailer
	Breached Breached     // default: knows none
	OwnNames []string     // words that stand for this very service: no password is made of them
	OTP      OTP          // makes codes of second factors; default: none, and then nobody can have one
	Sealer   Sealer       // needed with an OTP: keeps their secrets
	WebAuthn WebAuthn     // reads and judges passkeys; default: none, and then nobody can have one

	// Policies finds the other policies a Client can name; default: there are none. Algorithms are those they may sign with.
	Policies   func(name string) (Policy, bool)
	Algorithms func() []string

	Peers     Peers     // the other replicas; default: there are none
	Tail      LogReader // reads the end of the log in one step; default: as anything else is read
	Places    Places    // where they share the guesses under way; default: there are none
	Providers Providers // where else people can sign in; default: nowhere. Needs a Sealer

	RotateKeysEvery time.Duration // default 0: only when asked
	AckTimeout      time.Duration // how long WaitAcked waits; default 2 s
	CheckpointEvery time.Duration // how often the audit trail is signed, when it has grown; default 10 min
	MaxFollowers    int           // streams open at once; default 1024
}

// Service is the core. It is safe for concurrent use.
type Service struct {
	store  Store
	signer Signer
	hasher Hasher
	opts   Options
	keys   keyCache
	feed   feed
	guard  guard
	post   post
}

// New checks what it is given and starts nothing.
func New(store Store, signer Signer, hasher Hasher, opts Options) (*Service, error) {
	if store == nil || signer == nil || hasher == nil {
		return nil, errors.New("identity needs a store, a signer and a hasher")
	}
	if opts.NewID == nil || opts.Policy == nil || opts.MAC == nil {
		return nil, errors.New("identity needs NewID, Policy and MAC")
	}
	if _, ok := parseID(opts.NewID()); !ok {
		return nil, errors.New("NewID does not make UUIDs in lower case")
	}
	if opts.Policies == nil {
		opts.Policies = func(string) (Policy, bool) { return Policy{}, false }
	}
	if opts.Algorithms == nil {
		opts.Algorithms = func() []string { return nil }
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Observer == nil {
		opts.Observer = noObserver{}
	}
	if (opts.Mailer == nil) != (opts.Letters == nil) {
		return nil, errors.New("a Mailer needs Letters, and Letters a Mailer")
	}
	if (opts.OTP != nil || opts.Providers != nil) && opts.Sealer == nil {
		return nil, errors.New("an OTP needs a Sealer, and so do Providers")
	}
	if opts.Breached == nil {
		opts.Breached = noneBreached{}
	}
	opts.AckTimeout = orDefault(opts.AckTimeout, 2*time.Second)
	opts.CheckpointEvery = orDefault(opts.CheckpointEvery, 10*time.Minute)
	opts.MaxFollowers = orDefault(opts.MaxFollowers, 1024)
	s := &Service{store: store, signer: signer, hasher: hasher, opts: opts}
	s.feed.init()
	s.post.init()
	return s, nil
}

// Prepare brings the store to where requests can be served: built-in roles, and the first signing keys. Call it once
// at start, before Bootstrap; it may be called again.
func (s *Service) Prepare(ctx context.Context) error {
	if err := s.store.InTx(ctx, func(tx Tx) error { return putBuiltInRoles(ctx, tx) }); err != nil {
		return fmt.Errorf("write the built-in roles: %w", err)
	}
	return s.keepKeys(ctx)
}

// Ready reports whether requests can be served: keys are loaded and the store answers.
func (s *Service) Ready(ctx context.Context) error {
	if _, err := s.keys.signing(s.policy().Algorithm); err != nil {
		return err
	}
	return s.store.View(ctx, func(tx Tx) error {
		_, err := tx.RevocationHead(ctx)
		return err
	})
}

// sameWords reports whether two failures say the same: loops that try again every second tell each once in a row.
func sameWords(a, b error) bool { return a != nil && b != nil && a.Error() == b.Error() }

// keyTick is how often the life of keys is looked after, the keys of other replicas are read, and sign-ins under way are counted.
const keyTick = 30 * time.Second

// sweepEvery is how often what has expired is removed.
const sweepEvery = time.Hour

// Run looks after keys, sweeps, signs the audit trail and notices what others append to the log, until ctx ends, and
// returns nil then. What fails is logged and tried again.
func (s *Service) Run(ctx context.Context) error {
	keys, sweep := time.NewTicker(keyTick), time.NewTicker(sweepEvery)
	defer keys.Stop()
	defer sweep.Stop()
	sign, look := time.NewTicker(s.opts.CheckpointEvery), time.NewTicker(logTick)
	defer sign.Stop()
	defer look.Stop()
	others, level := foreign{service: s}, leveller{service: s}
	err, last := errors.Join(level.keep(ctx), s.retellBlocks(ctx), s.countHandoffs(ctx)), error(nil)
	for {
		if err != nil && ctx.Err() == nil && !sameWords(last, err) {
			s.opts.Log.ErrorContext(ctx, "upkeep failed, it will be tried again", "error", err.Error())
		}
		last = err
		select {
		case <-ctx.Done():
			return nil
		case <-keys.C:
			err = errors.Join(s.keepKeys(ctx), s.countHandoffs(ctx))
		case <-sweep.C:
			err = errors.Join(s.sweep(ctx), s.countHandoffs(ctx), s.retellBlocks(ctx))
		case <-sign.C:
			err = s.checkpoint(ctx)
		case <-look.C:
			err = errors.Join(others.notice(ctx), level.keep(ctx))
		}
	}
}

func (s *Service) policy() Policy { return s.opts.Policy().withDefaults() }

// policyNamed is the policy that sessions of this name follow. One that is not configured any more leaves its sessions to the
// policy of everybody.
func (s *Service) policyNamed(name string) Policy {
	if name != "" {
		if p, ok := s.opts.Policies(name); ok {
			return p.withDefaults()
		}
	}
	return s.policy()
}

// algorithms are all that access tokens are signed with, the one of everybody's policy first.
func (s *Service) algorithms() []string {
	all := []string{s.policy().Algorithm}
	for _, a := range s.opts.Algorithms() {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// change runs a transaction that may append to the log, and wakes whoever follows it if it did. They are woken after a failure
// too: a lost answer may hide a commit.
func (s *Service) change(ctx context.Context, fn func(tx Tx) error) error {
	appended := false
	err := s.store.InTx(ctx, func(tx Tx) error { return fn(noticing{tx, &appended}) })
	if appended {
		s.feed.wake()
	}
	return err
}

// noticing is a transaction that notes whether it appends to the log.
type noticing struct {
	Tx
	appended *bool
}

func (n noticing) AppendRevocation(ctx context.Context, r Revocation) (int64, error) {
	*n.appended = true
	return n.Tx.AppendRevocation(ctx, r)
}

type noObserver struct{}

func (noObserver) Login(string)        {}
func (noObserver) GuessRefused(string) {}
func (noObserver) Refresh(string)      {}
func (noObserver) Followers(int)       {}
func (noObserver) FollowerRefused()    {}
func (noObserver) Mail(string)         {}
func (noObserver) MailsWaiting(int)    {}
func (noObserver) Passkey(string)      {}
func (noObserver) Swept(string, int)   {}

func (noObserver) SignIn(string, string)        {}
func (noObserver) OpenSignIns(HandoffKind, int) {}

type noneBreached struct{}

func (noneBreached) Contains(string) bool { return false }
