package files

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// scrubBatch bounds the rows the scrub asks for at once, and the findings it writes at once.
	scrubBatch = 64
	// scrubKeepEvery is how long findings may wait to be written: a crash makes at most this much be read again.
	scrubKeepEvery = 5 * time.Second
	// scrubIdle is how long the scrub sleeps at most when nothing is due, and at least after a failure.
	scrubIdle = time.Minute
	// maxFlawedListed bounds ScrubReport.Flawed.
	maxFlawedListed = 1000
)

// ScrubPace is how stored bytes are read back while the service runs.
type ScrubPace struct {
	Rate  int64         // bytes a second at most, an eighth of it while there is traffic; 0: no scrub
	Every time.Duration // how long a blob may go unread; default 30 days
}

// ScrubPass says what one pass does.
type ScrubPass struct {
	Rate     int64             // bytes a second; 0: as quickly as the store can
	Quick    bool              // only whether each blob is there with its size; no row is changed
	ReadOnly bool              // report only: no row is changed
	Keys     bool              // also look for keys in the store that no row knows
	Until    time.Time         // only blobs verified at this moment or before; zero: all
	Progress func(ScrubReport) // told every few seconds; may be nil
}

// ScrubReport is what a pass has found so far.
type ScrubReport struct {
	Blobs       int64 // looked at
	Bytes       int64 // read
	Verified    int64
	Corrupt     int64
	Missing     int64
	Unreadable  int64 // the store failed: nothing is known of them
	Infected    int64 // of the verified ones: in quarantine since they were stored
	UnknownKeys int64 // with Keys: in the store and in no row
	Flawed      []FlawedBlob
}

// FlawedBlob is one blob that is not as it should be; Flaw is "unreadable" when the store failed.
type FlawedBlob struct {
	Blob  BlobID
	Owner OwnerID
	Size  int64
	Flaw  Flaw
	// Whose bytes they are: the newest version that has them. Of a blob that is of no file all three are empty.
	File    FileID
	Name    string
	Version int64
}

const unreadable Flaw = "unreadable" // of reports, never of rows

// Sound reports whether every blob was there and as its row says.
func (r ScrubReport) Sound() bool { return r.Corrupt+r.Missing+r.Unreadable == 0 }

// Scrub makes one pass over the live blobs, those first that were verified longest ago, and returns what it has found. What
// is damaged goes into quarantine, what was and is whole again comes out. A pass that is broken off is taken up by the next
// where it stopped, since the rows keep when each was verified. err is why the pass ended early; findings are no error.
func (s *Service) Scrub(ctx context.Context, pass ScrubPass) (ScrubReport, error) {
	if pass.Until.IsZero() {
		pass.Until = s.now()
	}
	pass.ReadOnly = pass.ReadOnly || pass.Quick
	p := &scrub{s: s, pass: pass, pace: pace{rate: pass.Rate, slow: s.hasTraffic}, kept: s.opts.Now()}
	err := p.rows(ctx)
	if err == nil && pass.Keys {
		err = p.keys(ctx)
	}
	return p.report, err
}

// scrub is one pass.
type scrub struct {
	s        *Service
	pass     ScrubPass
	pace     pace
	report   ScrubReport
	findings []finding
	kept     time.Time // when findings were written last
}

// finding is what a look at a blob has shown.
type finding struct {
	row  Blob
	file File // of a damaged blob, with the version that has it
	flaw Flaw
	read int64
	err  error // says more
}

func (p *scrub) rows(ctx context.Context) error {
	var after VerifyPlace
	for {
		var rows []Blob
		err := p.s.catalog.Read(ctx, func(tx ReadTx) (err error) {
			rows, err = tx.LiveBlobs(ctx, after, p.pass.Until, scrubBatch)
			return err
		})
		if err != nil {
			return fmt.Errorf("find blobs to verify: %w", err)
		}
		for _, row := range rows {
			if err := p.look(ctx, row); err != nil {
				return errors.Join(err, p.keep(context.WithoutCancel(ctx)))
			}
		}
		if len(rows) < scrubBatch {
			return p.keep(ctx)
		}
		last := rows[len(rows)-1]
		after = VerifyPlace{At: last.VerifiedAt, ID: last.ID}
	}
}

// look checks one blob. It looks twice before it calls a blob damaged: memory and cables lie too.
func (p *scrub) look(ctx context.Context, row Blob) error {
	f := p.check(ctx, row)
	if f.flaw == FlawCorrupt {
		f = p.check(ctx, row)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.findings = append(p.findings, f)
	if f.flaw == FlawNone && len(p.findings) < scrubBatch && p.s.opts.Now().Sub(p.kept) < scrubKeepEvery {
		return nil
	}
	return p.keep(ctx)
}

// keep writes the findings and tells about them. A blob that has died meanwhile is nobody's loss.
func (p *scrub) keep(ctx context.Context) error {
	p.kept = p.s.opts.Now()
	var news []finding
	write := func(tx ReadTx, update func(Blob) error) error {
		news = news[:0]
		for _, f := range p.findings {
			kept, err := p.keepOne(ctx, tx, f, update)
			if err != nil {
				return err
			}
			if kept && f.flaw != FlawNone {
				f.file, err = fileOf(ctx, tx, f.row.ID)
			}
			if err != nil {
				return err
			}
			if kept {
				news = append(news, f)
			}
		}
		return nil
	}
	var err error
	if p.pass.ReadOnly {
		err = p.s.catalog.Read(ctx, func(tx ReadTx) error { return write(tx, func(Blob) error { return nil }) })
	} else {
		err = p.s.catalog.Write(ctx, func(tx Tx) error {
			return write(tx, func(b Blob) error { return tx.UpdateBlob(ctx, b, BlobLive) })
		})
	}
	if err != nil {
		return fmt.Errorf("keep what the scrub found: %w", err)
	}
	p.findings = p.findings[:0]
	for _, f := range news {
		p.tell(ctx, f)
	}
	if p.pass.Progress != nil {
		p.pass.Progress(p.report)
	}
	return p.s.reportSoundness(ctx)
}

// tell counts a finding, and is loud about a new flaw.
func (p *scrub) tell(ctx context.Context, f finding) {
	r, result := &p.report, "verified"
	r.Blobs++
	r.Bytes += f.read
	switch f.flaw {
	case FlawCorrupt:
		r.Corrupt++
	case FlawMissing:
		r.Missing++
	case unreadable:
		r.Unreadable++
	default:
		r.Verified++
	}
	if f.row.Flaw == FlawInfected {
		r.Infected++
	}
	if f.flaw != FlawNone {
		result = string(f.flaw)
		if len(r.Flawed) < maxFlawedListed {
			r.Flawed = append(r.Flawed, FlawedBlob{
				Blob: f.row.ID, Owner: f.row.Owner, Size: f.row.Size, Flaw: f.flaw, File: f.file.ID, Name: f.file.Name, Version: f.file.Version,
			})
		}
	}
	p.s.opts.Meter.Scrubbed(result, f.read)
	switch {
	case f.flaw == unreadable:
		p.s.log.ErrorContext(ctx, "blob could not be read", "blob", f.row.ID, "owner", f.row.Owner, "error", f.err.Error())
	case f.flaw != FlawNone && f.flaw != f.row.Flaw:
		p.s.corrupt(ctx, f.row.ID, f.err)
	case f.flaw == FlawNone && (f.row.Flaw == FlawCorrupt || f.row.Flaw == FlawMissing):
		p.s.log.WarnContext(ctx, "blob is whole again", "blob", f.row.ID, "owner", f.row.Owner)
	}
}
