package identity

import (
	"context"
	"fmt"
	"time"
)

// revocationMargin is added to every Until: verifiers allow 30 s of leeway, and clocks differ.
const revocationMargin = 2 * time.Minute

// longKept is for entries whose reader may be away for long, or that must outlive every copy of a key set: deleted
// people, whose files another service erases, people blocked or let in again, whose links it stops or opens, and killed
// signing keys. All are rare.
const longKept = 90 * 24 * time.Hour

// revoke appends one entry, in the transaction of the change it stands for. lastToken is when the last token concerned
// expires.
func revoke(ctx context.Context, tx Tx, kind Kind, id string, lastToken time.Time) (seq int64, err error) {
	seq, err = tx.AppendRevocation(ctx, Revocation{
		Kind: kind, ID: id, At: tx.Now(), Until: later(lastToken, tx.Now()).Add(revocationMargin),
	})
	if err != nil {
		return 0, fmt.Errorf("append %s to the revocation log: %w", kind, err)
	}
	return seq, nil
}

// endSession ends a session, and its access tokens with it. It returns fault.NotFound for one that has ended.
func endSession(ctx context.Context, tx Tx, id string) (seq int64, err error) {
	gone, err := tx.DeleteSession(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("end session: %w", err)
	}
	return revoke(ctx, tx, KindSession, id, gone.AccessUntil)
}

// endSessions ends all sessions of a person but one, and says how many. keep may be empty.
func endSessions(ctx context.Context, tx Tx, userID, keep string) (n int, err error) {
	live, err := tx.SessionsOf(ctx, userID, Cursor{}, maxSessions+1)
	if err != nil {
		return 0, fmt.Errorf("list sessions to end: %w", err)
	}
	for _, sess := range live {
		if sess.ID == keep {
			continue
		}
		if _, err := endSession(ctx, tx, sess.ID); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// raiseEpoch makes every access token the person holds stale, and returns the new epoch for the user's row. The entry is
// kept for so long at least.
func raiseEpoch(ctx context.Context, tx Tx, userID string, kept time.Duration) (epoch int64, err error) {
	until, err := tx.TokensUntil(ctx, userID)
	if err != nil {
		return 0, fmt.Errorf("find the person's last token: %w", err)
	}
	return revoke(ctx, tx, KindUserEpoch, userID, later(until, tx.Now().Add(kept)))
}

// retellBlocks keeps an entry in the log for each blocked person: whoever reads the log from its beginning must find who
// is blocked, however long ago that was. People who were blocked before entries were kept so long get theirs here.
func (s *Service) retellBlocks(ctx context.Context) error {
	for {
		var untold []string
		err := s.store.View(ctx, func(tx Tx) (err error) {
			untold, err = tx.UntoldBlocks(ctx, tx.Now().Add(longKept/2), sweepBatch)
			return err
		})
		if err == nil && len(untold) > 0 {
			err = s.change(ctx, func(tx Tx) error { return retell(ctx, tx, untold) })
		}
		if err != nil {
			return fmt.Errorf("retell who is blocked: %w", err)
		}
		if len(untold) < sweepBatch {
			return nil
		}
		if err := pause(ctx, sweepPause); err != nil {
			return err
		}
	}
}

// retell appends entries that change nothing: these people hold no tokens.
func retell(ctx context.Context, tx Tx, userIDs []string) error {
	for _, id := range userIDs {
		if _, err := revoke(ctx, tx, KindUserEpoch, id, tx.Now().Add(longKept)); err != nil {
			return err
		}
	}
	return nil
}
