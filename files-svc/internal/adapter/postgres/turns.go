package postgres

import (
	"context"

	"cloakroom.dev/files-svc/internal/files"
)

var _ files.Turns = (*Catalog)(nil)

// Take implements files.Turns with an advisory lock of a session: it ends with the process, whatever ends that.
func (c *Catalog) Take(ctx context.Context, work string, fn func(context.Context) error) error {
	turn, end := context.WithCancel(ctx)
	defer end()
	var result error
	ran := false
	err := c.db.Lead(turn, work, func(led context.Context) error {
		result = fn(led)
		if led.Err() != nil && turn.Err() == nil {
			return context.Cause(led) // the turn was lost, not the wish for it
		}
		ran = true
		end()
		return nil
	})
	if !ran { // the wait has ended with ctx
		return err
	}
	return result
}
