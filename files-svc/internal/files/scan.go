package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cloakroom.dev/libs/fault"
)

// Scanner looks into contents. It is safe for concurrent use and bounds its own time.
type Scanner interface {
	// Scan reads content, which has size bytes, and says whether it is harmful. It returns fault.TooLarge when it does not
	// take contents of this size, and any other error when it could not find out.
	Scan(ctx context.Context, content io.Reader, size int64) (Verdict, error)
}

// Verdict is what a scanner says. Name is what it calls the harm it has found; empty: none.
type Verdict struct{ Name string }

// Scan is who looks into contents before they are kept, and what happens to those nobody could look into: they are refused
// unless allowed.
type Scan struct {
	Scanner          Scanner // nil: nobody looks
	AllowUnavailable bool    // keep what could not be scanned because the scanner failed
	AllowOversize    bool    // keep what the scanner is not made for
}

// scan asks the scanner about bytes that are durable and not yet anybody's. What is harmful is kept, in quarantine, so that
// its owner sees what became of it.
func (u *upload) scan(ctx context.Context) error {
	s, opts := u.s, u.s.opts.Scan
	if opts.Scanner == nil {
		return nil
	}
	verdict, err := u.ask(ctx, opts.Scanner)
	switch {
	case err == nil && verdict.Name == "":
		s.opts.Meter.Scanned("clean")
		return nil
	case err == nil:
		s.opts.Meter.Scanned("infected")
		u.flaw = FlawInfected
		s.log.WarnContext(ctx, "infected file goes into quarantine", "blob", u.id, "owner", u.owner, "found", verdict.Name)
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fault.Of(fault.TooLarge)):
		s.opts.Meter.Scanned("oversize")
		if opts.AllowOversize {
			return nil
		}
		return fault.Wrap(fault.TooLarge, "the file is too large to be checked for malware", err)
	default:
		return u.unscanned(ctx, err)
	}
}

func (u *upload) ask(ctx context.Context, scanner Scanner) (Verdict, error) {
	src, err := u.s.blobs.Open(ctx, u.id, u.size)
	if err != nil {
		return Verdict{}, fmt.Errorf("open what was stored: %w", err)
	}
	defer src.Close()
	return scanner.Scan(ctx, src, u.size)
}

// unscanned is for a scanner that is away.
func (u *upload) unscanned(ctx context.Context, err error) error {
	u.s.opts.Meter.Scanned("unavailable")
	if u.s.opts.Scan.AllowUnavailable {
		u.s.log.WarnContext(ctx, "file is kept unscanned", "blob", u.id, "owner", u.owner, "error", err.Error())
		return nil
	}
	u.s.log.ErrorContext(ctx, "file could not be scanned and is refused", "blob", u.id, "owner", u.owner, "error", err.Error())
	return fault.Retry(fault.Unavailable, "the file could not be checked for malware, try again later", 30*time.Second)
}

// Scanned implements Meter.
func (deaf) Scanned(string) {}
