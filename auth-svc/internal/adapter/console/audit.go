package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"

	"cloakroom.dev/libs/run"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

func auditVerbs() []verb { return []verb{verifyAudit(), exportAudit()} }

func verifyAudit() verb {
	var head string
	return verb{
		name: "verify",
		summary: "Holds every row of the audit trail against the one before, and every signature against its row. " +
			"Prints the head; give it as --head the next time, and rows cut off the end will be missed too.",
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&head, "head", "", "a head from before, as verify or the service's log (audit trail signed) told it")
		},
		do: func(ctx context.Context, c *call) error {
			var known identity.AuditHead
			if head != "" {
				var ok bool
				if known, ok = identity.ParseAuditHead(head); !ok {
					return fmt.Errorf("%w: --head is a row's number and its hash in hex, joined by a colon", run.ErrUsage)
				}
			}
			r, err := c.core.VerifyAudit(ctx, known)
			if err != nil {
				return err
			}
			if err := c.print(newReport(r), reportText(r)); err != nil || r.OK() {
				return err
			}
			fmt.Fprintln(c.to.Stderr, "The audit trail was changed. Keep a copy of the store as it is, and compare with a backup and with the logs.")
			return run.ErrSilent
		},
	}
}

type report struct {
	OK          bool     `json:"ok"`
	Rows        int64    `json:"rows"`
	Checkpoints int64    `json:"checkpoints"`
	Signed      int64    `json:"signed"`
	Head        *string  `json:"head"`
	Faults      []string `json:"faults"`
}

func newReport(r identity.AuditReport) report {
	out := report{OK: r.OK(), Rows: r.Rows, Checkpoints: r.Checkpoints, Signed: r.Signed, Faults: wire.OrEmpty(r.Faults)}
	if r.Head.Seq > 0 {
		out.Head = wire.OrNull(r.Head.String())
	}
	return out
}

func reportText(r identity.AuditReport) string {
	if !r.OK() {
		return "the audit trail does not hold:\n  " + strings.Join(r.Faults, "\n  ")
	}
	return fmt.Sprintf("the audit trail holds: %d rows, %d signatures, signed up to row %d\nhead %s", r.Rows, r.Checkpoints, r.Signed, r.Head)
}

// exported is a row with all that its hash covers.
type exported struct {
	wire.AuditEntry
	Subject string `json:"subject,omitempty"`
	Sealed  []byte `json:"sealed,omitempty"`
}

func exportAudit() verb {
	var after int64
	return verb{
		name: "export", summary: "Writes the audit trail to stdout, oldest first, one JSON object a line.",
		flags: func(fs *flag.FlagSet) {
			fs.Int64Var(&after, "after", 0, "begin after the row with this number")
		},
		do: func(ctx context.Context, c *call) error {
			out := bufio.NewWriter(c.to.Stdout)
			lines := json.NewEncoder(out)
			err := c.core.WalkAudit(ctx, nobody, after, func(e identity.AuditEntry) error {
				return lines.Encode(exported{wire.NewAuditEntry(e), e.Subject, e.Sealed})
			})
			return errors.Join(err, out.Flush())
		},
	}
}
