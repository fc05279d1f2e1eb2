package crashtest

import (
	"context"
	"errors"
	"fmt"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// oracle knows what may be left of a trial.
type oracle struct {
	trial  *trial
	core   *files.Service
	stores *Opened
}

// all is the most rows of a kind a trial can have.
const all = 1 << 12

// files reads everything back: each file has a content that was acknowledged for it, or one whose change never heard an
// answer; and what was acknowledged is there.
func (o *oracle) files(ctx context.Context) error {
	var found []files.File
	err := o.stores.Catalog.Read(ctx, func(tx files.ReadTx) (err error) {
		found, err = tx.DueFiles(ctx, files.DueQuery{Owner: owner, Limit: all})
		return err
	})
	if err != nil {
		return fmt.Errorf("list files: %w", err)
	}
	c, there := o.trial, map[string]bool{}
	var wrong []error
	for _, f := range found {
		id := string(f.ID)
		there[id] = true
		digest, err := o.readWhole(ctx, f.ID)
		c.readBack++
		switch acked, known := c.acked[id]; {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("file %s can't be read: %w", id, err))
		case digest != f.SHA256.String():
			wrong = append(wrong, fmt.Errorf("file %s reads back as %s, its row says %s", id, digest, f.SHA256))
		case known && digest != acked && !c.open[id][digest]:
			wrong = append(wrong, fmt.Errorf("file %s has content %s, acknowledged was %q", id, digest, acked))
		case !known && !c.tried[digest]:
			wrong = append(wrong, fmt.Errorf("file %s is there, and was refused or never sent", id))
		}
	}
	for id, acked := range c.acked {
		if !there[id] && acked != "" && !c.open[id][""] {
			wrong = append(wrong, fmt.Errorf("file %s was acknowledged and is gone", id))
		}
	}
	return errors.Join(wrong...)
}

// keys calls fn for each key in the store.
func (o *oracle) keys(ctx context.Context, fn func(epoch files.EpochID, id files.BlobID) error) error {
	epochs, err := o.stores.Blobs.Epochs(ctx)
	if err != nil {
		return err
	}
	for _, epoch := range epochs {
		err := o.stores.Blobs.Walk(ctx, epoch, 0, func(id files.BlobID) error { return fn(epoch, id) })
		if err != nil {
			return err
		}
	}
	return nil
}

// intents: each key is known to a row, or to the open intent that a writer's epoch is. Each upload's bytes have a row.
func (o *oracle) intents(ctx context.Context) error {
	return o.stores.Catalog.Read(ctx, func(tx files.ReadTx) error {
		err := o.keys(ctx, func(epoch files.EpochID, id files.BlobID) error {
			_, err := tx.Blob(ctx, id)
			if !errors.Is(err, fault.Of(fault.NotFound)) {
				return err
			}
			e, err := tx.Epoch(ctx, epoch)
			if err != nil || e.State == files.EpochClosed {
				return fmt.Errorf("key %s has neither row nor intent (%w)", id, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return o.stores.Blobs.WalkPartials(ctx, func(id files.UploadID) error {
			_, err := tx.Upload(ctx, id)
			return err
		})
	})
}

// orphans: the store has the bytes of live rows and of open uploads, and nothing else; no row waits for anything.
func (o *oracle) orphans(ctx context.Context) error {
	return o.stores.Catalog.Read(ctx, func(tx files.ReadTx) error {
		keys := int64(0)
		err := o.keys(ctx, func(_ files.EpochID, id files.BlobID) error {
			keys++
			row, err := tx.Blob(ctx, id)
			if err == nil && row.State == files.BlobLive {
				return nil
			}
			return fmt.Errorf("key %s is left over: its row is %q (%w)", id, row.State, err)
		})
		if err != nil {
			return err
		}
		stats, err := tx.BlobStats(ctx)
		if err != nil {
			return err
		}
		if live := stats[files.BlobLive].Blobs; live != keys {
			return fmt.Errorf("%d keys for %d live rows", keys, live)
		}
		for _, state := range []files.BlobState{files.BlobPending, files.BlobDead, files.BlobDeleting} {
			if n := stats[state].Blobs; n > 0 {
				return fmt.Errorf("%d rows are still %s", n, state)
			}
		}
		return o.stores.Blobs.WalkPartials(ctx, func(id files.UploadID) error {
			up, err := tx.Upload(ctx, id)
			if err == nil && up.State != files.UploadOpen {
				err = fmt.Errorf("it is %s", up.State)
			}
			if err != nil {
				return fmt.Errorf("bytes of upload %s are left over: %w", id, err)
			}
			return nil
		})
	})
}

// sums: the account says what exists, and holds nothing back.
func (o *oracle) sums(ctx context.Context) error {
	return o.stores.Catalog.Read(ctx, func(tx files.ReadTx) error {
		have, err := tx.Owner(ctx, owner)
		if err != nil {
			return err
		}
		found, err := tx.DueFiles(ctx, files.DueQuery{Owner: owner, Limit: all})
		if err != nil {
			return err
		}
		want := files.Owner{ID: owner, Files: int64(len(found))}
		for _, f := range found {
			versions, err := tx.Versions(ctx, f.ID)
			if err != nil {
				return err
			}
			for _, v := range versions {
				want.Versions++
				want.Bytes += v.Size
			}
		}
		if have != want {
			return fmt.Errorf("the account is %+v, what exists sums up to %+v", have, want)
		}
		return nil
	})
}

// events: the outbox has one line for each content that came to be, and one for each file that is gone.
func (o *oracle) events(ctx context.Context) error {
	return o.stores.Catalog.Read(ctx, func(tx files.ReadTx) error {
		events, err := tx.OwnerEvents(ctx, owner, 0, all)
		if err != nil {
			return err
		}
		contents, deleted := map[files.FileID]int64{}, map[files.FileID]int{}
		for _, e := range events {
			switch e.Kind {
			case files.FileCreated, files.FileReplaced:
				contents[e.File]++
			case files.FileDeleted:
				deleted[e.File]++
			}
		}
		found, err := tx.DueFiles(ctx, files.DueQuery{Owner: owner, Limit: all})
		if err != nil {
			return err
		}
		for _, f := range found {
			if contents[f.ID] != f.Version || deleted[f.ID] > 0 {
				return fmt.Errorf("file %s has %d versions, the outbox %d, and %d deletes", f.ID, f.Version, contents[f.ID], deleted[f.ID])
			}
			delete(contents, f.ID)
		}
		for id := range contents {
			if deleted[id] != 1 {
				return fmt.Errorf("the outbox tells of file %s, which is not there, and of %d deletes", id, deleted[id])
			}
		}
		return nil
	})
}

// sound: the scrub has nothing to say.
func (o *oracle) sound(ctx context.Context) error {
	report, err := o.core.Scrub(ctx, files.ScrubPass{Keys: true})
	o.trial.readBack += int(report.Verified)
	if err == nil && (!report.Sound() || report.UnknownKeys > 0) {
		err = fmt.Errorf("the scrub found %+v", report)
	}
	return err
}
