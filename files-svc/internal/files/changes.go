package files

import (
	"context"
	"fmt"

	"cloakroom.dev/libs/fault"
)

// Changes is one page of an owner's feed of changes. Next is where to read on, now or later; More tells whether there is
// something to read at once.
type Changes struct {
	Events []Event
	Next   int64
	More   bool
}

// Changes lists what has happened to the owner's files behind a position, in the order of commits: nothing that is
// committed later comes before what has been read. after nil returns the position of now and no events; a reader takes it,
// lists the files, and follows from there. A position that lies behind what is kept is fault.Gone: list anew.
func (s *Service) Changes(ctx context.Context, owner OwnerID, after *int64, limit int) (Changes, error) {
	if err := s.allow(ctx, owner, "read"); err != nil {
		return Changes{}, err
	}
	limit, err := checkLimit(limit)
	if err != nil {
		return Changes{}, err
	}
	var c Changes
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		first, last, err := tx.EventRange(ctx)
		c = Changes{Next: last} // also past what others did: the position of somebody idle does not grow old
		if err != nil || after == nil {
			return err
		}
		if *after < first-1 || *after > last { // trimmed; or the catalog was restored to before it
			return fault.New(fault.Gone, "what has changed since then is not kept any more: list the files anew")
		}
		if c.Events, err = tx.OwnerEvents(ctx, owner, *after, limit+1); err != nil || len(c.Events) <= limit {
			return err
		}
		c.Events = c.Events[:limit]
		c.More, c.Next = true, c.Events[limit-1].Seq
		return nil
	})
	if err != nil {
		return Changes{}, fmt.Errorf("list changes: %w", err)
	}
	return c, nil
}
