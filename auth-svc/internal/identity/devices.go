package identity

import (
	"context"
	"errors"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// SessionNames lets people tell their devices apart.
type SessionNames interface {
	// NameSession changes what a session's device is called. It returns fault.NotFound.
	NameSession(ctx context.Context, id, deviceName string) error
}

// ListSessionsOf lists a person's live sessions, newest first; scope self reaches the caller's own. limit is 1 to 100.
// Faults: Forbidden, NotFound.
func (s *Service) ListSessionsOf(ctx context.Context, caller principal.Principal, userID string, after Cursor, limit int) (page Page[Session], err error) {
	limit = min(max(limit, 1), maxPage)
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resSessions, verb: actRead, owner: userID}); err != nil {
			return err
		}
		if _, err := tx.User(ctx, userID); err != nil {
			return missing(err)
		}
		items, err := tx.SessionsOf(ctx, userID, after, limit+1)
		page = pageOf(items, limit, func(v Session) Cursor { return Cursor{At: v.CreatedAt, ID: v.ID} })
		return err
	})
	return page, err
}

// EndSessionOf ends one session of a person and returns its place in the log, for WaitAcked. Faults: Forbidden,
// NotFound, also for a session of somebody else.
func (s *Service) EndSessionOf(ctx context.Context, caller principal.Principal, userID, sessionID string) (seq int64, err error) {
	a := act{resource: resSessions, verb: actDelete, owner: userID, name: "session.revoke", target: sessionTarget(sessionID)}
	err = s.change(ctx, func(tx Tx) error {
		if _, err := sessionOf(ctx, tx, caller, userID, sessionID, a); err != nil {
			return err
		}
		seq, err = endSession(ctx, tx, sessionID)
		return err
	})
	return seq, err
}

// EndSessionsOf ends every session of a person and says how many. Faults: Forbidden, NotFound.
func (s *Service) EndSessionsOf(ctx context.Context, caller principal.Principal, userID string) (n int, err error) {
	a := act{resource: resSessions, verb: actDelete, owner: userID, name: "session.revoke_all", target: userTarget(userID)}
	err = s.change(ctx, func(tx Tx) error {
		if _, err := reach(ctx, tx, caller, userID, a); err != nil {
			return err
		}
		n, err = endSessions(ctx, tx, userID, "")
		return err
	})
	return n, err
}

// NameSessionOf changes what the device of a session is called. Faults: Forbidden, NotFound, Invalid.
func (s *Service) NameSessionOf(ctx context.Context, caller principal.Principal, userID, sessionID, deviceName string) (sess Session, err error) {
	name := showable(deviceName, maxDeviceName)
	if name == "" || name != deviceName {
		return Session{}, fault.Validation(fault.Field{
			Field: "device_name", Code: "INVALID", Detail: "must be 1 to 100 characters of text, without control characters or blanks at its ends",
		})
	}
	a := act{resource: resSessions, verb: actUpdate, owner: userID, name: "session.name", target: sessionTarget(sessionID)}
	err = s.store.InTx(ctx, func(tx Tx) error {
		if sess, err = sessionOf(ctx, tx, caller, userID, sessionID, a); err != nil {
			return err
		}
		sess.DeviceName = name
		return tx.NameSession(ctx, sessionID, name)
	})
	return sess, err
}

// sessionOf passes the door to one session of a person.
func sessionOf(ctx context.Context, tx Tx, caller principal.Principal, userID, sessionID string, a act) (Session, error) {
	if err := checkAndLog(ctx, tx, caller, a); err != nil {
		return Session{}, err
	}
	sess, err := tx.Session(ctx, sessionID)
	if errors.Is(err, fault.Of(fault.NotFound)) || (err == nil && sess.UserID != userID) {
		return Session{}, errNoSession
	}
	if err != nil {
		return Session{}, err
	}
	if userID == caller.UserID {
		return sess, nil
	}
	return sess, mayRule(ctx, tx, caller, userID)
}
