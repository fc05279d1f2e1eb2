package files

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
)

// Flaw is what is wrong with a live blob. A blob that is corrupt or infected is quarantined: its bytes stay where they are,
// and nobody is given any of them.
type Flaw string

// The flaws. The scrub takes the first two back when it finds the blob whole again, as after a repair from a backup.
const (
	FlawNone     Flaw = ""
	FlawCorrupt  Flaw = "corrupt"  // its bytes are not what the row says
	FlawMissing  Flaw = "missing"  // the store has no such blob
	FlawInfected Flaw = "infected" // the scanner found something in it
)

// ScrubReader finds what the scrub looks at.
type ScrubReader interface {
	// LiveBlobs lists at most limit live blobs behind a place that were verified at until or earlier: the longest ago
	// first, then by id.
	LiveBlobs(ctx context.Context, after VerifyPlace, until time.Time, limit int) ([]Blob, error)
	// FlawStats counts the live blobs that have each flaw.
	FlawStats(ctx context.Context) (map[Flaw]BlobStat, error)
}

// VerifyPlace is a place in the order of LiveBlobs. The zero value is before all.
type VerifyPlace struct {
	At time.Time
	ID BlobID
}

// refuseFlawed keeps what is quarantined from being read.
func (s *Service) refuseFlawed(ctx context.Context, id BlobID) error {
	var row Blob
	err := s.catalog.Read(ctx, func(tx ReadTx) (err error) {
		row, err = tx.Blob(ctx, id)
		return err
	})
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)): // replaced and reaped meanwhile: the caller looks again
		return nil
	case err != nil:
		return fmt.Errorf("look for a quarantine: %w", err)
	case row.Flaw == FlawInfected:
		return fault.New(fault.Forbidden, "the file is in quarantine: a scanner found something harmful in it")
	case row.Flaw == FlawCorrupt:
		return fmt.Errorf("blob %s is in quarantine: its bytes are damaged", id)
	default:
		return nil
	}
}
