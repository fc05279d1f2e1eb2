package identity

import (
	"context"
	"time"

	"cloakroom.dev/libs/principal"
)

// Export is everything the service holds about a person, besides the rows of the audit trail. Hashes of secrets and
// what only tells devices apart are left out: they say nothing that the person could read.
type Export struct {
	At       time.Time
	User     User
	Rights   Rights
	Sessions []Session
	APIKeys  []APIKey
	CameFrom []ForeignID
	Factors  FactorList

	Identities []ExternalIdentity // where else the person can sign in
}

// Export gives head what is held about a person, and then each every row of the audit trail that is about them, newest
// first. It is written to the trail itself. Scope self reaches the caller's own. Faults: Forbidden, NotFound; an error
// of head or each ends it.
func (s *Service) Export(ctx context.Context, caller principal.Principal, userID string, head func(Export) error, each func(AuditEntry) error) error {
	e, err := s.exportHead(ctx, caller, userID)
	if err != nil {
		return err
	}
	if err := head(e); err != nil {
		return err
	}
	about := AuditFilter{UserID: userID}
	for at := (Cursor{}); ; {
		var entries []AuditEntry
		err := s.store.View(ctx, func(tx Tx) (err error) {
			entries, err = findAudit(ctx, tx, about, at, auditBatch)
			return err
		})
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := each(entry); err != nil {
				return err
			}
		}
		if len(entries) < auditBatch {
			return nil
		}
		at = auditCursor(entries[len(entries)-1])
	}
}

// exportHead asks for every permission that the parts would ask for by themselves: a key that may read a profile does
// not get the list of sessions with it.
func (s *Service) exportHead(ctx context.Context, caller principal.Principal, userID string) (e Export, err error) {
	err = s.store.InTx(ctx, func(tx Tx) error {
		for _, resource := range []string{resSessions, resAPIKeys} {
			if err := check(ctx, tx, caller, act{resource: resource, verb: actRead, owner: userID}); err != nil {
				return err
			}
		}
		a := act{resource: resUsers, verb: actRead, owner: userID, name: "user.export", target: userTarget(userID)}
		if err := checkAndLog(ctx, tx, caller, a); err != nil {
			return err
		}
		e = Export{At: tx.Now()}
		if e.User, err = tx.User(ctx, userID); err != nil {
			return missing(err)
		}
		if e.Rights, err = tx.Rights(ctx, userID); err != nil {
			return err
		}
		if e.Sessions, err = tx.SessionsOf(ctx, userID, Cursor{}, maxSessions+1); err != nil {
			return err
		}
		if e.APIKeys, err = tx.APIKeysOf(ctx, userID, Cursor{}, maxAPIKeys+1); err != nil {
			return err
		}
		if e.CameFrom, err = tx.ForeignIDsOf(ctx, userID); err != nil {
			return err
		}
		if e.Identities, err = tx.ExternalIdentitiesOf(ctx, userID); err != nil {
			return err
		}
		e.Factors, err = factorList(ctx, tx, userID)
		return err
	})
	return e, err
}
