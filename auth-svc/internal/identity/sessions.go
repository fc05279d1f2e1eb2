package identity

import (
	"context"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

var errNoSession = fault.New(fault.NotFound, "no such session")

// Logout ends the caller's session. Faults: Forbidden for a caller without one, InvalidToken when it has ended before.
func (s *Service) Logout(ctx context.Context, caller principal.Principal) error {
	if caller.SessionID == "" {
		return errNeedsSession
	}
	return s.change(ctx, func(tx Tx) error {
		err := checkAndLog(ctx, tx, caller, act{name: "session.logout", target: sessionTarget(caller.SessionID)})
		if err != nil {
			return err
		}
		_, err = endSession(ctx, tx, caller.SessionID)
		return err
	})
}

// LogoutAll ends the caller's sessions, all or all but the present one, and says how many.
func (s *Service) LogoutAll(ctx context.Context, caller principal.Principal, keepCurrent bool) (n int, err error) {
	keep := ""
	if keepCurrent {
		keep = caller.SessionID
	}
	err = s.change(ctx, func(tx Tx) error {
		err := checkAndLog(ctx, tx, caller, act{
			resource: resSessions, verb: actDelete, owner: caller.UserID,
			name: "session.logout_all", target: userTarget(caller.UserID), detail: map[string]any{"kept": keep},
		})
		if err != nil {
			return err
		}
		n, err = endSessions(ctx, tx, caller.UserID, keep)
		return err
	})
	return n, err
}

// SessionCheck is the answer of the check call.
type SessionCheck struct {
	User      User
	SessionID string    // empty for an API key
	ExpiresAt time.Time // of the access token

	Factors  []FactorKind // the kinds that guard the person, each once
	Proof    Proof        // what the session has shown; empty for an API key
	ProvedAt time.Time
}

// CheckSession says who the caller is, from the store. Faults: InvalidToken, TokenStale.
func (s *Service) CheckSession(ctx context.Context, caller principal.Principal) (SessionCheck, error) {
	out := SessionCheck{SessionID: caller.SessionID, ExpiresAt: caller.ExpiresAt}
	err := s.store.View(ctx, func(tx Tx) (err error) {
		if err = check(ctx, tx, caller, act{}); err != nil {
			return err
		}
		if out.User, err = tx.User(ctx, caller.UserID); err != nil {
			return err
		}
		if out.Factors, err = kindsHeld(ctx, tx, caller.UserID); err != nil || caller.SessionID == "" {
			return err
		}
		sess, err := tx.Session(ctx, caller.SessionID)
		out.Proof, out.ProvedAt = sess.Proof, sess.ProvedAt
		return err
	})
	return out, err
}

// Introspect checks a verified token's caller against the store. Faults: InvalidToken, TokenStale.
func (s *Service) Introspect(ctx context.Context, caller principal.Principal) error {
	return s.store.View(ctx, func(tx Tx) error { return check(ctx, tx, caller, act{}) })
}

// ListSessions lists the caller's live sessions, newest first. limit is 1 to 100.
func (s *Service) ListSessions(ctx context.Context, caller principal.Principal, after Cursor, limit int) (Page[Session], error) {
	return s.ListSessionsOf(ctx, caller, caller.UserID, after, limit)
}

const maxPage = 100

// pageOf makes a page of at most limit items out of a list that was asked for one more.
func pageOf[T any](items []T, limit int, at func(T) Cursor) Page[T] {
	if len(items) <= limit {
		return Page[T]{Items: items}
	}
	return Page[T]{Items: items[:limit], Next: at(items[limit-1])}
}

// RevokeSession ends one of the caller's sessions and returns its place in the log, for WaitAcked. Faults: NotFound,
// also for other people's.
func (s *Service) RevokeSession(ctx context.Context, caller principal.Principal, sessionID string) (seq int64, err error) {
	return s.EndSessionOf(ctx, caller, caller.UserID, sessionID)
}
