package identity

import (
	"context"
	"strconv"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// AuditSearch finds rows of the trail.
type AuditSearch interface {
	// FindAudit lists the rows that match, newest first, before a number when that is not zero.
	FindAudit(ctx context.Context, f AuditFilter, before int64, limit int) ([]AuditRow, error)
}

// ListAudit lists what was done, newest first. limit is 1 to 100. Faults: Forbidden, Invalid.
func (s *Service) ListAudit(ctx context.Context, caller principal.Principal, f AuditFilter, after Cursor, limit int) (page Page[AuditEntry], err error) {
	if bad := f.check(); len(bad) > 0 {
		return page, fault.Validation(bad...)
	}
	limit = min(max(limit, 1), maxPage)
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resAudit, verb: actRead}); err != nil {
			return err
		}
		entries, err := findAudit(ctx, tx, f, after, limit+1)
		page = pageOf(entries, limit, auditCursor)
		return err
	})
	return page, err
}

func findAudit(ctx context.Context, tx Tx, f AuditFilter, after Cursor, limit int) ([]AuditEntry, error) {
	before, _ := strconv.ParseInt(after.ID, 10, 64) // a cursor of ours, or none
	rows, err := tx.FindAudit(ctx, f, before, limit)
	if err != nil {
		return nil, err
	}
	entries := make([]AuditEntry, len(rows))
	read := newReader(tx)
	for i, row := range rows {
		if entries[i], err = read.entry(ctx, row); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func auditCursor(e AuditEntry) Cursor { return Cursor{ID: strconv.FormatInt(e.Seq, 10)} }

// check finds what is wrong with a filter.
func (f AuditFilter) check() (bad []fault.Field) {
	for _, c := range []struct{ name, value string }{{"actor", f.Actor}, {"action", f.Action}, {"target", f.Target}, {"user_id", f.UserID}} {
		if len(c.value) > maxFilterBytes || !isShowable(c.value) {
			bad = append(bad, fault.Field{Field: c.name, Code: "INVALID", Detail: "must be at most 254 bytes of text"})
		}
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		bad = append(bad, fault.Field{Field: "until", Code: "INVALID", Detail: "must be after since"})
	}
	return bad
}

// WalkAudit gives every row after a number to each, oldest first, in batches that keep nobody from writing. Faults:
// Forbidden; an error of each ends the walk.
func (s *Service) WalkAudit(ctx context.Context, caller principal.Principal, after int64, each func(AuditEntry) error) error {
	for {
		var entries []AuditEntry
		err := s.store.View(ctx, func(tx Tx) error {
			if err := check(ctx, tx, caller, act{resource: resAudit, verb: actRead}); err != nil {
				return err
			}
			rows, err := tx.AuditRows(ctx, after, auditBatch)
			if err != nil {
				return err
			}
			entries = make([]AuditEntry, len(rows))
			read := newReader(tx)
			for i, row := range rows {
				if entries[i], err = read.entry(ctx, row); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := each(e); err != nil {
				return err
			}
			after = e.Seq
		}
		if len(entries) < auditBatch {
			return nil
		}
	}
}
