// Package dashboards holds the dashboards of Cloakroom as Grafana reads them.
//
// A board is a list of rows, a row a list of panels, a panel a few expressions. In an expression `{NS}` and `{NS,` stand for the
// selector by the namespace that is chosen at the top; with none chosen it takes series that have none, as on one machine.
package dashboards

import (
	"encoding/json"
	"fmt"
	"strings"
)

// width and height of a panel, in Grafana's grid of 24 columns.
const (
	panelWidth  = 8
	panelHeight = 8
	gridColumns = 24
)

var prometheus = &datasource{Type: "prometheus", UID: "${datasource}"}

// query is an expression and what its series are called.
type query struct{ expr, legend string }

type row struct {
	title  string
	panels []*panel
}

// Files returns all dashboards by file name.
func Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, d := range []*dashboard{requests(), trust(), contents(), saturation(), rollout()} {
		var text strings.Builder
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(d); err != nil {
			return nil, fmt.Errorf("%s: %w", d.UID, err)
		}
		files[d.UID+".json"] = []byte(text.String())
	}
	return files, nil
}

func board(name, title, description string, rows ...row) *dashboard {
	return &dashboard{
		UID: "cloakroom-" + name, Title: "Cloakroom / " + title, Description: description + " Made by k8s/observe.",
		Tags: []string{"cloakroom"}, Timezone: "browser", GraphTooltip: 1, SchemaVersion: 41, Refresh: "30s",
		Time: timeRange{From: "now-1h", To: "now"},
		Links: []link{{
			Title: "Cloakroom", Type: "dashboards", Tags: []string{"cloakroom"}, AsDropdown: true, IncludeVars: true, KeepTime: true,
		}},
		Templating: templating{List: []variable{
			{Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus"},
			{
				Name: "namespace", Label: "Namespace", Type: "query", Query: "label_values(cloakroom_build_info, namespace)",
				Datasource: prometheus, Refresh: 2, IncludeAll: true, AllValue: ".*", Multi: true, Current: &choice{"All", "$__all"},
			},
		}},
		Panels: lay(rows),
	}
}

// lay gives each panel its place and number.
func lay(rows []row) []*panel {
	var laid []*panel
	y := 0
	place := func(p *panel, x, w, h int) {
		p.ID, p.GridPos = len(laid)+1, gridPos{H: h, W: w, X: x, Y: y}
		laid = append(laid, p)
	}
	open := false
	for _, r := range rows {
		place(&panel{Type: "row", Title: r.title, Collapsed: &open}, 0, gridColumns, 1)
		y++
		x := 0
		for _, p := range r.panels {
			if x+panelWidth > gridColumns {
				x, y = 0, y+panelHeight
			}
			place(p, x, panelWidth, panelHeight)
			x += panelWidth
		}
		y += panelHeight
	}
	return laid
}

// graph is a panel over time.
func graph(title, unit, description string, queries ...query) *panel {
	zero := 0.0
	p := &panel{
		Type: "timeseries", Title: title, Description: description, Datasource: prometheus,
		FieldConfig: &fieldConfig{
			Defaults:  fieldDefaults{Unit: unit, Min: &zero, Custom: map[string]any{"fillOpacity": 10, "showPoints": "never"}},
			Overrides: []any{},
		},
		Options: map[string]any{
			"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
		},
	}
	for i, q := range queries {
		p.Targets = append(p.Targets, target{
			RefID: string(rune('A' + i)), Datasource: prometheus, Expr: chosen(q.expr), LegendFormat: q.legend, Range: true,
			Exemplar: strings.Contains(q.expr, "_bucket{"),
		})
	}
	return p
}

// table is a panel of what is now.
func table(title, description string, queries ...query) *panel {
	p := graph(title, "short", description, queries...)
	p.Type, p.Options, p.FieldConfig.Defaults = "table", map[string]any{"showHeader": true}, fieldDefaults{Unit: "short"}
	for i := range p.Targets {
		p.Targets[i].Range, p.Targets[i].Instant, p.Targets[i].Format, p.Targets[i].Exemplar = false, true, "table", false
	}
	return p
}

// heat is a panel of a histogram over time.
func heat(title, unit, description, expr string) *panel {
	p := graph(title, unit, description, query{expr, "{{le}}"})
	p.Type, p.FieldConfig.Defaults = "heatmap", fieldDefaults{Unit: unit}
	p.Options = map[string]any{"calculate": false, "yAxis": map[string]any{"unit": unit}, "color": map[string]any{"scheme": "Blues", "mode": "scheme"}}
	p.Targets[0].Format = "heatmap"
	return p
}

// chosen puts the chosen namespace into the selectors of an expression.
func chosen(expr string) string {
	return strings.ReplaceAll(expr, "{NS", `{namespace=~"$namespace"`)
}

// quantiles are queries for the usual three of a classic histogram. by is empty or a label with a comma before it.
func quantiles(metric, selector string, by ...string) []query {
	var queries []query
	labels := strings.Join(append([]string{"le"}, by...), ", ")
	legend := ""
	for _, label := range by {
		legend += " {{" + label + "}}"
	}
	for _, q := range []string{"0.5", "0.95", "0.99"} {
		queries = append(queries, query{
			fmt.Sprintf("histogram_quantile(%s, sum by (%s) (rate(%s_bucket%s[$__rate_interval])))", q, labels, metric, selector),
			"p" + strings.TrimPrefix(q, "0.") + legend,
		})
	}
	return queries
}

// rate is a query for a counter a second, summed by labels.
func rate(metric, selector string, by ...string) query {
	return query{
		fmt.Sprintf("sum by (%s) (rate(%s%s[$__rate_interval]))", strings.Join(by, ", "), metric, selector), legendOf(by),
	}
}

// gauge is a query for the most of any process, by labels.
func gauge(metric string, by ...string) query {
	return query{fmt.Sprintf("max by (%s) (%s{NS})", strings.Join(by, ", "), metric), legendOf(by)}
}

func legendOf(by []string) string {
	legend := make([]string, len(by))
	for i, label := range by {
		legend[i] = "{{" + label + "}}"
	}
	return strings.Join(legend, " ")
}
