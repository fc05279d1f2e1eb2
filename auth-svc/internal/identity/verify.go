package identity

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// AuditHead names a row and what its hash was, as told by an earlier verification or by the log.
type AuditHead struct {
	Seq  int64
	Hash [32]byte
}

// String is the form ParseAuditHead reads.
func (h AuditHead) String() string { return fmt.Sprintf("%d:%s", h.Seq, hex.EncodeToString(h.Hash[:])) }

// ParseAuditHead reads `<number>:<hash in hex>`.
func ParseAuditHead(text string) (h AuditHead, ok bool) {
	number, hash, _ := strings.Cut(text, ":")
	seq, err := strconv.ParseInt(number, 10, 64)
	raw, hexErr := hex.DecodeString(hash)
	if err != nil || hexErr != nil || len(raw) != len(h.Hash) || seq < 1 {
		return h, false
	}
	return AuditHead{Seq: seq, Hash: [32]byte(raw)}, true
}

// AuditReport is what a verification has found.
type AuditReport struct {
	Rows        int64
	Checkpoints int64
	Head        AuditHead // the end of the chain
	Signed      int64     // the last row under a good signature
	Faults      []string  // what is wrong, at most maxAuditFaults; empty for a chain that holds
}

// OK reports whether nothing was found.
func (r AuditReport) OK() bool { return len(r.Faults) == 0 }

const (
	auditBatch     = 500
	maxAuditFaults = 20
)

// VerifyAudit reads the whole trail and holds every row against the one before, every checkpoint against its row, and
// the chain against a head known from before (zero for none), without which rows cut off its end after the last
// checkpoint can't be missed. It reads in batches, so it keeps nobody from writing. It runs for the operator; what
// needs no caller asks for none.
func (s *Service) VerifyAudit(ctx context.Context, known AuditHead) (AuditReport, error) {
	v := verification{notary: s.opts.Notary, known: known}
	for done := false; !done; {
		err := s.store.View(ctx, func(tx Tx) (err error) {
			done, err = v.batch(ctx, tx)
			return err
		})
		if err != nil {
			return v.report, fmt.Errorf("read the audit trail: %w", err)
		}
	}
	if known.Seq > v.prev.Seq {
		v.fault("the trail ends at row %d, it once had a row %d", v.prev.Seq, known.Seq)
	}
	v.report.Head = AuditHead{Seq: v.prev.Seq, Hash: v.prev.Hash}
	return v.report, nil
}

// verification is one walk along the chain.
type verification struct {
	notary Notary
	known  AuditHead
	report AuditReport
	prev   AuditRow
}

func (v *verification) fault(format string, args ...any) {
	if len(v.report.Faults) < maxAuditFaults {
		v.report.Faults = append(v.report.Faults, fmt.Sprintf(format, args...))
	}
}

// batch takes the next rows and the checkpoints among them. On the last one, checkpoints past the end are missing rows.
func (v *verification) batch(ctx context.Context, tx Tx) (done bool, err error) {
	after := v.prev.Seq
	rows, err := tx.AuditRows(ctx, after, auditBatch)
	if err != nil {
		return false, err
	}
	done = len(rows) < auditBatch
	checkpoints, err := tx.Checkpoints(ctx, after, auditBatch+1)
	if err != nil {
		return false, err
	}
	for _, row := range rows {
		v.row(row)
		for len(checkpoints) > 0 && checkpoints[0].Seq <= row.Seq {
			v.checkpoint(checkpoints[0], row)
			checkpoints = checkpoints[1:]
		}
	}
	if done && len(checkpoints) > 0 {
		v.fault("the trail ends at row %d, row %d was signed once", v.prev.Seq, checkpoints[len(checkpoints)-1].Seq)
	}
	return done, nil
}

func (v *verification) row(row AuditRow) {
	switch {
	case row.Seq != v.prev.Seq+1:
		v.fault("rows %d to %d are missing", v.prev.Seq+1, row.Seq-1)
	case row.PrevHash != v.prev.Hash:
		v.fault("row %d does not follow row %d", row.Seq, v.prev.Seq)
	}
	if row.Hash != row.hash() {
		v.fault("row %d was changed", row.Seq)
	}
	if row.Seq == v.known.Seq && row.Hash != v.known.Hash {
		v.fault("row %d is not the one that was there before", row.Seq)
	}
	v.prev = row
	v.report.Rows++
}

func (v *verification) checkpoint(c Checkpoint, row AuditRow) {
	v.report.Checkpoints++
	switch {
	case c.Seq != row.Seq || c.Hash != row.Hash:
		v.fault("row %d is not the one that was signed", c.Seq)
	case v.notary == nil || !v.notary.Verify(c.KeyID, c.message(), c.Signature):
		v.fault("the signature of row %d is not by a key of this service (key %s)", c.Seq, clip(c.KeyID, 32))
	default:
		v.report.Signed = c.Seq
	}
}
