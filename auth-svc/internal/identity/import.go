package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// Imports keeps where people came from, and how far each import has come.
type Imports interface {
	// ForeignPerson returns the id of the person who came from a source under an id of theirs there. It returns
	// fault.NotFound.
	ForeignPerson(ctx context.Context, source, foreignID string) (userID string, err error)
	// InsertForeignID remembers where a person came from; it goes with the person. The pair of source and id is new.
	InsertForeignID(ctx context.Context, f ForeignID) error
	// ForeignIDsOf lists where a person came from, by source and id.
	ForeignIDsOf(ctx context.Context, userID string) ([]ForeignID, error)
	// ForeignIDs lists at most limit of those who came from a source, in the order of their ids there, from behind after
	// on; empty is the beginning.
	ForeignIDs(ctx context.Context, source, after string, limit int) ([]ForeignID, error)
	// ImportState finds how far the import from a source has come. It returns fault.NotFound before the first.
	ImportState(ctx context.Context, source string) (ImportState, error)
	// PutImportState adds or replaces it.
	PutImportState(ctx context.Context, s ImportState) error
	// HashKinds lists the kinds (HashKind) of all password hashes, each once, in order, at most limit.
	HashKinds(ctx context.Context, limit int) ([]string, error)
}

// ForeignID says who a person was in another system.
type ForeignID struct {
	UserID string
	Source string // a word for the other system
	ID     string // as that system wrote it
}

// ImportState is how far the import from one source has come. It moves in the transaction that makes the people, so that
// an import that was cut anywhere goes on without a double and without a gap.
type ImportState struct {
	Source  string
	Version int64 // counts up; 0 before the first batch
	Cursor  ImportCursor
	Counts  ImportCounts
	// Refused is what the newest batch has refused. It is kept here until the next batch, so that whoever writes reports
	// can make up for a crash between the commit and the report.
	Refused   []ImportRefusal
	UpdatedAt time.Time
}

// ImportCursor is a place in the input: behind so many lines and bytes, whose SHA-256 is known.
type ImportCursor struct {
	Lines, Bytes int64
	Digest       [32]byte
}

// ImportCounts is what became of lines.
type ImportCounts struct {
	Created int64 `json:"created"`
	Present int64 `json:"present"` // had come from this source before
	Skipped int64 `json:"skipped"` // an identifier belongs to somebody else
	Refused int64 `json:"refused"`
}

// ImportRefusal says why a line made nobody.
type ImportRefusal struct {
	Line    int64         `json:"line"`
	InDump  int64         `json:"line_of_dump,omitempty"` // of an input that is not one person a line
	Skipped bool          `json:"skipped,omitempty"`      // for a conflict, by policy
	Reasons []fault.Field `json:"reasons"`
}

// Incoming is one line of an import: a person of another system, or what is wrong with the line.
type Incoming struct {
	Bad []fault.Field // the line can't be read; nothing else counts then

	ID                     string // there; empty for the first identifier in canonical form
	Email, Phone, Username string // as typed; empty for none
	EmailVerified          bool
	Name                   string
	Status                 Status   // empty for active
	Roles                  []string // nil for guest
	CreatedAt              time.Time
	Password               ForeignHash // none: no password opens the account until one is set by a reset

	InDump int64        // the line of the dump it was made from; 0 for a line that stands for itself
	End    ImportCursor // behind this line
}

// ImportBatch is what one transaction takes.
type ImportBatch struct {
	From   ImportState // as ImportState or Import has returned it; with cursor and counts reset, the input begins anew
	People []Incoming  // at most MaxImportBatch

	FailOnConflict bool // stop before the line whose identifier is taken, instead of skipping it
	AllowAdmin     bool // lines may make administrators
}

// MaxImportBatch bounds how long a batch keeps other writers waiting: 100 people are some 10 ms on a quick machine. Who imports beside
// others takes fewer where that is more.
const MaxImportBatch = 100

const (
	maxSourceBytes    = 32
	maxForeignIDBytes = 300 // an email in its longest form, and what stands before it
)

var (
	errNotOperator   = fault.New(fault.Forbidden, "only the command line imports people: it sets hashes and verified addresses")
	errImportMoved   = fault.New(fault.Conflict, "another import from this source is under way, or was: begin again from what it has left")
	errImportTooMany = errors.New("an import batch is too large")
)

// ImportState returns how far the import from a source has come, and a new state before the first. Faults: Forbidden,
// Invalid.
func (s *Service) ImportState(ctx context.Context, caller principal.Principal, source string) (state ImportState, err error) {
	if !isSource(source) {
		return state, fault.Validation(fault.Field{
			Field: "source", Code: "INVALID", Detail: "must be a word of at most " + strconv.Itoa(maxSourceBytes) + " letters, digits, dots, dashes or underscores",
		})
	}
	if !isOperator(ctx) {
		return state, errNotOperator
	}
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resUsers, verb: actCreate}); err != nil {
			return err
		}
		state, err = tx.ImportState(ctx, source)
		if errors.Is(err, fault.Of(fault.NotFound)) {
			state, err = ImportState{Source: source}, nil
		}
		return err
	})
	return state, err
}

// ForeignIDs lists who came from a source, as Imports.ForeignIDs does: files that come from there too find their owners by
// it. Faults: Forbidden.
func (s *Service) ForeignIDs(ctx context.Context, caller principal.Principal, source, after string, limit int) (ids []ForeignID, err error) {
	if !isOperator(ctx) {
		return nil, errNotOperator
	}
	err = s.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resUsers, verb: actRead}); err != nil {
			return err
		}
		ids, err = tx.ForeignIDs(ctx, source, after, limit)
		return err
	})
	return ids, err
}

// Import makes the people of a batch and moves the import's state, in one transaction with one row in the audit trail.
// Lines are refused one by one, and told in the state's Refused; stopped says that FailOnConflict has ended the batch
// before its end, with the offending line told there too, and not passed. No mail is written to anybody. Faults: Conflict
// when the state has moved, Forbidden.
func (s *Service) Import(ctx context.Context, caller principal.Principal, b ImportBatch) (state ImportState, stopped bool, err error) {
	if len(b.People) > MaxImportBatch {
		return state, false, errImportTooMany
	}
	if !isOperator(ctx) {
		return state, false, errNotOperator
	}
	lines := s.readLines(b)
	for range maxImportTries {
		run := &importing{}
		err = s.store.InTx(ctx, func(tx Tx) error {
			run = &importing{tx: tx, batch: b, state: b.From, roles: map[string]bool{}}
			if err := run.claim(ctx); err != nil {
				return err
			}
			if err := run.all(ctx, lines); err != nil {
				return err
			}
			return run.finish(ctx, caller)
		})
		// An identifier that was free when we looked and taken when we wrote: somebody signed up in between. Look again.
		if err == nil {
			return run.state, run.stopped, nil
		}
		if !errors.Is(err, fault.Of(fault.UserExists)) {
			return state, false, err
		}
	}
	return state, false, fmt.Errorf("import: identifiers are being taken meanwhile: %w", err)
}

const maxImportTries = 5

// importing is one batch inside its transaction.
type importing struct {
	tx      Tx
	batch   ImportBatch
	state   ImportState
	roles   map[string]bool // known to exist, or not
	preview *ImportPreview  // nothing is written when there is one
	stopped bool
}

// claim makes sure that nobody else has moved the state.
func (r *importing) claim(ctx context.Context) error {
	stored, err := r.tx.ImportState(ctx, r.state.Source)
	if err != nil && !errors.Is(err, fault.Of(fault.NotFound)) {
		return err
	}
	if stored.Version != r.state.Version {
		return errImportMoved
	}
	r.state.Version, r.state.Refused, r.state.UpdatedAt = r.state.Version+1, nil, r.tx.Now()
	return nil
}

func (r *importing) all(ctx context.Context, lines []line) error {
	for _, l := range lines {
		took, reasons, err := r.one(ctx, l)
		if err != nil {
			return fmt.Errorf("import line %d: %w", l.end.Lines, err)
		}
		switch took {
		case lineCreated:
			r.state.Counts.Created++
		case linePresent:
			r.state.Counts.Present++
		case lineRefused:
			r.state.Counts.Refused++
		case lineTaken:
			r.stopped = r.batch.FailOnConflict
			if !r.stopped {
				r.state.Counts.Skipped++
			}
		}
		if len(reasons) > 0 {
			r.state.Refused = append(r.state.Refused, ImportRefusal{
				Line: l.end.Lines, InDump: l.inDump, Skipped: took == lineTaken, Reasons: reasons,
			})
		}
		if r.stopped {
			return nil
		}
		r.state.Cursor = l.end
	}
	return nil
}

// finish writes the state, and the batch into the audit trail.
func (r *importing) finish(ctx context.Context, caller principal.Principal) error {
	if err := r.tx.PutImportState(ctx, r.state); err != nil {
		return fmt.Errorf("write how far the import has come: %w", err)
	}
	before, now := r.batch.From.Counts, r.state.Counts
	return checkAndLog(ctx, r.tx, caller, act{
		resource: resUsers, verb: actCreate, name: "user.import", target: "import:" + r.state.Source,
		detail: map[string]any{
			"after_line": r.batch.From.Cursor.Lines, "to_line": r.state.Cursor.Lines,
			"created": now.Created - before.Created, "present": now.Present - before.Present,
			"skipped": now.Skipped - before.Skipped, "refused": now.Refused - before.Refused,
		},
	})
}

// MarshalRefusals and UnmarshalRefusals are for stores.
func MarshalRefusals(rs []ImportRefusal) ([]byte, error) { return json.Marshal(rs) }

// UnmarshalRefusals reads what MarshalRefusals wrote.
func UnmarshalRefusals(raw []byte) (rs []ImportRefusal, err error) {
	return rs, json.Unmarshal(raw, &rs)
}
