package crashtest

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// titles are the faults as the table's head has them.
var titles = map[Fault]string{
	Kill: "kill -9", PowerCut: "power cut", NoSpace: "ENOSPC", IOError: "EIO", RowsDown: "database down",
}

// Line is a cell in one line.
func (c Cell) Line() string {
	if len(c.Problems) == 0 {
		return fmt.Sprintf("ok   %s x %s: %d files read back in %s", c.Step, c.Fault, c.ReadBack, c.Took.Round(time.Millisecond))
	}
	return fmt.Sprintf("FAIL %s x %s: %s\n     what is left: %s", c.Step, c.Fault, strings.Join(c.Problems, "\n     "), c.Folder)
}

// WriteTable writes the report as a table: a row for each step, a column for each fault; ✓ with the number of files that
// were read back and compared, ✗ with the number of broken promises.
func (r Report) WriteTable(w io.Writer) error {
	var faults []Fault
	for _, c := range r.Cells {
		if c.Step != r.Cells[0].Step {
			break
		}
		faults = append(faults, c.Fault)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "step\twhat\t")
	for _, f := range faults {
		fmt.Fprintf(table, "%s\t", titles[f])
	}
	what := map[string]string{}
	for _, s := range slices.Concat(Steps, bucketSteps) {
		what[s.Name] = s.What
	}
	for i, c := range r.Cells {
		if i%len(faults) == 0 {
			fmt.Fprintf(table, "\n%s\t%s\t", c.Step, what[c.Step])
		}
		if len(c.Problems) == 0 {
			fmt.Fprintf(table, "✓ %d\t", c.ReadBack)
		} else {
			fmt.Fprintf(table, "✗ %d\t", len(c.Problems))
		}
	}
	fmt.Fprintln(table)
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, r.summary())
	return err
}

func (r Report) summary() string {
	readBack, red := 0, 0
	for _, c := range r.Cells {
		readBack += c.ReadBack
		if len(c.Problems) > 0 {
			red++
		}
	}
	return fmt.Sprintf("%d cells on %s, %d failed; %d files read back and compared; seed %d; %s",
		len(r.Cells), r.Store, red, readBack, r.Seed, r.Took.Round(time.Millisecond))
}

// WriteJSON writes the report for scripts. Names are stable.
func (r Report) WriteJSON(w io.Writer) error {
	type cell struct {
		Step     string   `json:"step"`
		Fault    Fault    `json:"fault"`
		OK       bool     `json:"ok"`
		ReadBack int      `json:"read_back"`
		Problems []string `json:"problems"`
		Folder   string   `json:"folder,omitempty"`
		Took     int64    `json:"took_ms"`
	}
	out := struct {
		Green bool   `json:"green"`
		Store string `json:"store"`
		Seed  uint64 `json:"seed"`
		Took  int64  `json:"took_ms"`
		Cells []cell `json:"cells"`
	}{Green: r.Green(), Store: r.Store, Seed: r.Seed, Took: r.Took.Milliseconds(), Cells: []cell{}}
	for _, c := range r.Cells {
		out.Cells = append(out.Cells, cell{
			Step: c.Step, Fault: c.Fault, OK: len(c.Problems) == 0, ReadBack: c.ReadBack, Folder: c.Folder,
			Problems: append([]string{}, c.Problems...), Took: c.Took.Milliseconds(),
		})
	}
	return json.NewEncoder(w).Encode(out)
}
