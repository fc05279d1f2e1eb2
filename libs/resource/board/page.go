// Package board shows where every source's resources stand: as metrics, the same for each kind of source, and as the page of
// the ops port.
package board

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Page is what the ops port shows.
type Page struct {
	From      string             `json:"folder"` // a folder, or crd:// and a namespace
	Snapshot  string             `json:"snapshot"`
	ReadAt    time.Time          `json:"read_at"`
	Trouble   string             `json:"trouble,omitempty"`
	Findings  []resource.Finding `json:"findings,omitempty"` // those that belong to no object below
	Resources []resource.Record  `json:"resources"`
}

// Write answers a request for /-/resources: as a table, or as JSON when asked with ?output=json or an Accept header.
func (v Page) Write(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Query().Get("output") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(v) // the reader left
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.table(w)
}

func (v Page) table(w http.ResponseWriter) {
	fmt.Fprintf(w, "folder    %s\nsnapshot  %s\nread at   %s\n", v.From, v.Snapshot, v.ReadAt.Format(time.RFC3339))
	if v.Trouble != "" {
		fmt.Fprintf(w, "trouble   %s\n", v.Trouble)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tNAME\tACCEPTED\tPROGRAMMED\tREADY\tGENERATION\tSERVING\tSOURCE")
	for _, r := range v.Resources {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", r.Kind, r.Name,
			state(r, v1alpha1.ConditionAccepted), state(r, v1alpha1.ConditionProgrammed), state(r, v1alpha1.ConditionReady),
			r.Generation, r.Serving, place(r))
	}
	_ = t.Flush()
	for _, f := range v.Findings {
		fmt.Fprintf(w, "\n%s\n", f)
	}
	for _, r := range v.Resources {
		for _, c := range r.Conditions {
			if c.Type == v1alpha1.ConditionReady && c.Status != metav1.ConditionTrue {
				fmt.Fprintf(w, "\n%s/%s: %s: %s\n", r.Kind, r.Name, c.Reason, c.Message)
			}
		}
	}
}

// place is where a person would edit the object.
func place(r resource.Record) string {
	if r.Line == 0 {
		return r.File
	}
	return fmt.Sprintf("%s:%d", r.File, r.Line)
}

func state(r resource.Record, kind string) string {
	for _, c := range r.Conditions {
		if c.Type == kind {
			return string(c.Status)
		}
	}
	return "-"
}
