package identity

import (
	"context"
	"crypto/sha256"

	"cloakroom.dev/libs/principal"
)

// ImportPreview is an import that writes nothing. It remembers the identifiers it has met, 16 bytes each, so that it
// finds what one input has twice, as the import itself would. It is for one goroutine.
type ImportPreview struct {
	service *Service
	seen    map[[16]byte]struct{}
	full    bool
}

// maxPreviewed bounds what is remembered, to some 200 MB.
const maxPreviewed = 4_000_000

// PreviewImport begins one.
func (s *Service) PreviewImport() *ImportPreview {
	return &ImportPreview{service: s, seen: map[[16]byte]struct{}{}}
}

// Import says what Service.Import would do with the batch. Faults: as there.
func (p *ImportPreview) Import(ctx context.Context, caller principal.Principal, b ImportBatch) (state ImportState, stopped bool, err error) {
	if len(b.People) > MaxImportBatch {
		return state, false, errImportTooMany
	}
	if !isOperator(ctx) {
		return state, false, errNotOperator
	}
	lines := p.service.readLines(b)
	var run *importing
	err = p.service.store.View(ctx, func(tx Tx) error {
		if err := check(ctx, tx, caller, act{resource: resUsers, verb: actCreate}); err != nil {
			return err
		}
		run = &importing{tx: tx, batch: b, state: b.From, roles: map[string]bool{}, preview: p}
		run.state.Refused = nil
		return run.all(ctx, lines)
	})
	if err != nil {
		return state, false, err
	}
	return run.state, run.stopped, nil
}

// Full reports whether there were too many identifiers to remember: doubles after that are only found against the store.
func (p *ImportPreview) Full() bool { return p.full }

func (p *ImportPreview) remember(source string, l line) {
	marks := [][16]byte{foreignMark(source, l)}
	for _, id := range l.user.identifiers() {
		marks = append(marks, mark(string(id.Kind), id.Key), pairMark(source, l, id))
	}
	if len(p.seen)+len(marks) > maxPreviewed {
		p.full = true
		return
	}
	for _, m := range marks {
		p.seen[m] = struct{}{}
	}
}

func (p *ImportPreview) has(id Identifier) bool {
	_, ok := p.seen[mark(string(id.Kind), id.Key)]
	return ok
}

// met reports whether a line with this id has passed, and knows whether it had one of the identifiers too.
func (p *ImportPreview) met(source string, l line) bool {
	_, ok := p.seen[foreignMark(source, l)]
	return ok
}

func (p *ImportPreview) knows(source string, l line) bool {
	for _, id := range l.user.identifiers() {
		if _, ok := p.seen[pairMark(source, l, id)]; ok {
			return true
		}
	}
	return false
}

func foreignMark(source string, l line) [16]byte { return mark("id", source, l.foreignID) }

func pairMark(source string, l line, id Identifier) [16]byte {
	return mark("pair", source, l.foreignID, string(id.Kind), id.Key)
}

func mark(parts ...string) [16]byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{0}) // no part holds one
	}
	return [16]byte(h.Sum(nil))
}
