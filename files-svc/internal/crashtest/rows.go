package crashtest

import (
	"context"

	"cloakroom.dev/files-svc/internal/files"
)

// brittleRows stands between the core and its catalog.
type brittleRows struct {
	files.Catalog
	m *machine
}

// Write implements files.Catalog. Between fn's end and COMMIT, and between COMMIT and the answer, the core can't know the
// outcome: a failure there looks the same to it, and has to be survived either way.
func (c brittleRows) Write(ctx context.Context, fn func(files.Tx) error) error {
	if err := c.reach(pointBegin); err != nil {
		return err
	}
	err := c.Catalog.Write(ctx, func(tx files.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return c.reach(pointCommit)
	})
	if err != nil {
		return err
	}
	return c.lost()
}

// Read implements files.Catalog.
func (c brittleRows) Read(ctx context.Context, fn func(files.ReadTx) error) error {
	if err := c.m.rows(false); err != nil {
		return err
	}
	return c.Catalog.Read(ctx, fn)
}

func (c brittleRows) reach(point string) error {
	if err := c.m.at(point); err != nil {
		return err
	}
	return c.m.rows(true)
}

// lost is the way back from a COMMIT: the answer is lost only when the fault came right here.
func (c brittleRows) lost() error {
	if err := c.m.at(pointCommitted); err != nil || !c.m.struck(pointCommitted) {
		return err
	}
	return c.m.rows(true)
}
