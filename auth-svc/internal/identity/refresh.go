package identity

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

var errRefreshToken = fault.New(fault.InvalidRefreshToken, "the refresh token is not valid; sign in again")

// contentionRetry is how soon a refresh that lost to another is worth trying again.
const contentionRetry = time.Second

// Refresh trades a refresh token for its one successor and a fresh access token. Faults: InvalidRefreshToken; Conflict
// with RetryAfter on contention; Unavailable when the store is not there. The last two spend nothing.
func (s *Service) Refresh(ctx context.Context, token secret.String, client Client) (Tokens, error) {
	return s.RefreshIf(ctx, token, client, nil)
}

// RefreshIf is Refresh for clients that show more than the token: a session that accept does not take is refused as
// InvalidRefreshToken, and nothing is spent. A spent token ends its session whatever accept says. accept may run more than
// once.
func (s *Service) RefreshIf(ctx context.Context, token secret.String, client Client, accept func(Session) bool) (Tokens, error) {
	presented, ok := openRefreshToken(s.opts.MAC, token.Reveal())
	if !ok {
		s.opts.Observer.Refresh("forged")
		return Tokens{}, errRefreshToken
	}
	t, err := s.newTurn(presented, client)
	if err != nil {
		return Tokens{}, err
	}
	t.accept = accept
	if err := s.store.InTx(ctx, func(tx Tx) error { return s.decide(ctx, tx, t) }); err != nil {
		return Tokens{}, s.refreshFailed(ctx, t, err)
	}
	s.opts.Observer.Refresh(string(t.verdict))
	return s.refreshed(ctx, t)
}

// refreshed acts on a committed verdict.
func (s *Service) refreshed(ctx context.Context, t *turn) (Tokens, error) {
	if t.verdict == rotated || t.verdict == repeated {
		if err := s.describe(ctx, t); err != nil {
			return Tokens{}, err
		}
	}
	switch t.verdict {
	case rotated:
		if t.moved() {
			s.post.wake()
		}
		return s.issue(t.policy, t.session, t.rights, t.successor, t.now, t.extra)
	case repeated:
		successor, err := openSuccessor(t.presented, t.session.Sealed)
		if err != nil {
			return Tokens{}, err
		}
		return s.issue(t.policy, t.session, t.rights, successor, t.now, t.extra)
	case reused:
		s.opts.Log.WarnContext(ctx, "refresh token reused, session ended", "user_id", t.session.UserID,
			"session_id", t.session.ID, "generation", t.presented.generation, "live_generation", t.session.Generation)
	}
	if t.verdict.ends() {
		s.feed.wake()
		s.post.wake()
	}
	return Tokens{}, errRefreshToken
}

// refreshFailed tells contention from a store that is not there, and neither from a bad token: the client keeps it
// and comes back.
func (s *Service) refreshFailed(ctx context.Context, t *turn, err error) error {
	if t.verdict.ends() {
		s.feed.wake() // the answer is lost, the commit may not be
	}
	if errors.Is(err, fault.Of(fault.Conflict)) {
		s.opts.Observer.Refresh("contended")
		return fault.Retry(fault.Conflict, "the session is being refreshed; try again", contentionRetry)
	}
	s.opts.Observer.Refresh("error")
	if ctx.Err() == nil {
		s.opts.Log.ErrorContext(ctx, "refresh failed in the store", "session_id", t.presented.sessionID, "error", err.Error())
	}
	return fault.Retry(fault.Unavailable, "sessions can't be refreshed right now; try again", contentionRetry)
}

// verdict is what a presented refresh token is worth.
type verdict string

const (
	rotated  verdict = "rotated"  // it was live: its successor is now
	repeated verdict = "repeated" // it was spent within the window: the same successor again
	refused  verdict = "refused"  // its session has ended, or its owner may not come in
	reused   verdict = "reused"   // genuine but spent: somebody has a copy
	evicted  verdict = "evicted"  // its session is over the cap
)

func (v verdict) ends() bool { return v == reused || v == evicted }

// decide lets the turn decide, and tells the person of a theft, or of another address where the policy says so, in the same
// transaction.
func (s *Service) decide(ctx context.Context, tx Tx, t *turn) error {
	kind := MailTheft
	switch err := t.decide(ctx, tx); {
	case err != nil:
		return err
	case t.verdict == rotated && t.moved():
		kind = MailAddressChanged
	case t.verdict != reused:
		return nil
	}
	u, err := tx.User(ctx, t.session.UserID)
	if err != nil {
		return err
	}
	if kind == MailAddressChanged {
		err := logAct(ctx, tx, userTarget(u.ID), act{
			name: "session.address_change", target: sessionTarget(t.session.ID), subject: u.ID, client: t.client,
		})
		if err != nil {
			return err
		}
	}
	return s.notify(ctx, tx, u, kind, t.client)
}

// moved reports whether the session goes on from another address, and the policy wants that told.
func (t *turn) moved() bool {
	return t.policy.TellOfMoves && t.from.IsValid() && t.client.Address.IsValid() && t.from != t.client.Address
}

// turn is one refresh. Everything that costs time is made before the transaction, which then reads one row and
// writes one.
type turn struct {
	policies  func(name string) Policy
	accept    func(Session) bool // nil takes every session
	presented refreshToken
	hash      [32]byte // of the presented secret
	client    Client

	successor     [secretBytes]byte
	successorHash [32]byte
	sealed        []byte

	verdict verdict
	policy  Policy // of the session
	session Session
	rights  Rights
	extra   map[string]string
	now     time.Time
	from    netip.Addr // of the sign-in or the refresh before
}

func (s *Service) newTurn(presented refreshToken, client Client) (*turn, error) {
	t := &turn{
		policies: s.policyNamed, presented: presented, hash: hashSecret(presented.secret),
		client: client.cleaned(), successor: newSecret(),
	}
	t.successorHash = hashSecret(t.successor)
	var err error
	t.sealed, err = sealSuccessor(presented, t.successor)
	return t, err
}

// decide reads the session, judges the token and writes what follows from it.
func (t *turn) decide(ctx context.Context, tx Tx) error {
	t.verdict, t.now = "", tx.Now()
	sess, rights, newer, err := tx.SessionForRefresh(ctx, t.presented.sessionID)
	if errors.Is(err, fault.Of(fault.NotFound)) {
		t.verdict = refused
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the session: %w", err)
	}
	t.session, t.rights, t.policy = sess, rights, t.policies(sess.Policy)
	switch t.verdict = t.judge(newer); t.verdict {
	case rotated:
		t.session = t.rotate()
		return tx.RotateSession(ctx, t.session)
	case reused:
		return t.end(ctx, tx, "session.theft")
	case evicted:
		return t.end(ctx, tx, "session.evict")
	default:
		return nil
	}
}

// judge is the rule. The MAC has proved that we made the token; the row says whether it is the live one.
func (t *turn) judge(newer int) verdict {
	s, v := t.session, reused
	switch {
	case t.rights.Status != Active || t.policy.expired(s, t.now):
		return refused
	case t.presented.generation == s.Generation && sameHash(t.hash, s.SecretHash):
		v = rotated
	case t.presented.generation == s.Generation-1 && sameHash(t.hash, s.PreviousHash) && t.inWindow():
		v = repeated
	}
	switch {
	case v == reused:
		return reused
	case t.accept != nil && !t.accept(s):
		return refused
	case newer >= t.policy.MaxSessions:
		return evicted
	}
	return v
}

// describe makes the claims that the client wants besides. Most want none, and cost no reading. It reads after the commit: the
// owner's row locked after the session's, against the order of everybody else, would be waited for in a circle.
func (s *Service) describe(ctx context.Context, t *turn) error {
	if t.client.Claims == nil {
		return nil
	}
	var u User
	err := s.store.View(ctx, func(tx Tx) (err error) {
		u, err = tx.User(ctx, t.session.UserID)
		return err
	})
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)):
		return errRefreshToken // erased this very moment, sessions and all
	case err != nil:
		return s.refreshFailed(ctx, t, fmt.Errorf("read the session's owner: %w", err)) // who comes again within the window loses nothing
	}
	t.extra = t.client.claims(u, t.session)
	return nil
}

// inWindow measures from the rotation, which no repeat moves. A clock that was set back must not hold the window open,
// so a rotation that seems to lie ahead counts for no longer than one that lies behind.
func (t *turn) inWindow() bool {
	return t.now.Sub(t.session.RefreshedAt).Abs() < t.policy.ReuseWindow
}

func (t *turn) rotate() Session {
	s := t.session
	t.from = s.Address
	s.Generation++
	s.PreviousHash, s.SecretHash, s.Sealed = s.SecretHash, t.successorHash, t.sealed
	s.RefreshedAt = t.now
	s.RefreshUntil = t.policy.refreshUntil(s.CreatedAt, t.now)
	s.AccessUntil = later(s.AccessUntil, accessUntil(t.policy, t.now))
	if t.client.Address.IsValid() {
		s.Address = t.client.Address
	}
	return s
}

func (t *turn) end(ctx context.Context, tx Tx, name string) error {
	if _, err := endSession(ctx, tx, t.session.ID); err != nil {
		return err
	}
	return logAct(ctx, tx, actorSystem, act{
		name: name, target: sessionTarget(t.session.ID), subject: t.session.UserID, client: t.client,
		detail: map[string]any{
			"user_id": t.session.UserID, "generation": t.presented.generation, "live_generation": t.session.Generation,
		},
	})
}
