// Package alerts holds the recording rules and alerts of Cloakroom.
//
// An alert says what people would notice, or will soon; a cause is on a dashboard. Each has a severity (page: somebody gets up;
// ticket: somebody looks in working hours), a sentence and a runbook. Expressions are over the series of one scrape
// of each process; `namespace` and `service` are all they group by, so that they hold in a cluster and on one machine alike.
// A <name> in an expression is a threshold of thresholds.yaml.
package alerts

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Runbooks is where the page of each alert stands: one file an alert, named as it. It is a path in the repository, because nobody
// but an operator knows where people read it; they put their address in front.
const Runbooks = "docs/runbooks/"

// Rule is a recording rule or an alert, in Prometheus' form.
type Rule struct {
	Record      string            `json:"record,omitempty"`
	Alert       string            `json:"alert,omitempty"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Group is a list of rules that are evaluated one after the other.
type Group struct {
	Name     string `json:"name"`
	Interval string `json:"interval,omitempty"`
	Rules    []Rule `json:"rules"`
}

// Severities.
const (
	page   = "page"
	ticket = "ticket"
)

// alert makes an alert. The summary may use Prometheus' templates.
func alert(name, severity, wait, expr, summary string) Rule {
	return Rule{
		Alert: name, Expr: expr, For: wait, Labels: map[string]string{"severity": severity},
		Annotations: map[string]string{"summary": summary, "runbook_url": Runbooks + name + ".md"},
	}
}

// Groups returns all rules with the thresholds filled in. A threshold that no rule uses is an error.
func Groups(t Thresholds) ([]Group, error) {
	t, used, err := t.withBudgets()
	if err != nil {
		return nil, err
	}
	groups := slices.Concat(objectives(), []Group{trust(), integrity(), capacity(), rollout()})
	for _, g := range groups {
		for i := range g.Rules {
			for _, text := range []*string{&g.Rules[i].Expr, &g.Rules[i].For} {
				filled, err := t.fill(*text, used)
				if err != nil {
					return nil, fmt.Errorf("%s%s: %w", g.Rules[i].Record, g.Rules[i].Alert, err)
				}
				*text = filled
			}
		}
	}
	for name := range t {
		if !used[name] {
			return nil, fmt.Errorf("no rule uses the threshold %q", name)
		}
	}
	return groups, nil
}

const (
	header     = "# Made by k8s/observe. `make generate` writes this file.\n"
	openHeader = header + "# It is for the chart, which puts its values in the place of each <name>, and not for Prometheus.\n"
)

// Files returns the rules as a rule file of Prometheus and as the operator's object, by file name. Where runbooks stand is Runbooks
// unless base says otherwise. A third file has every threshold open, for the chart to fill in.
func Files(t Thresholds, base string) (map[string][]byte, error) {
	groups, err := Groups(t)
	if err != nil {
		return nil, err
	}
	if base != "" {
		for _, g := range groups {
			for _, r := range g.Rules {
				if r.Alert != "" {
					r.Annotations["runbook_url"] = strings.TrimRight(base, "/") + "/" + r.Alert + ".md"
				}
			}
		}
	}
	object := map[string]any{
		"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
		"metadata": map[string]any{"name": "cloakroom", "labels": map[string]string{"app.kubernetes.io/part-of": "cloakroom"}},
		"spec":     map[string]any{"groups": groups},
	}
	files := map[string][]byte{}
	for name, content := range map[string]any{
		"cloakroom.rules.yaml": map[string]any{"groups": groups}, "prometheusrule.yaml": object,
	} {
		raw, err := yaml.Marshal(content)
		if err != nil {
			return nil, err
		}
		files[name] = append([]byte(header), raw...)
	}
	open, err := Groups(t.open())
	if err != nil {
		return nil, err
	}
	raw, err := yaml.Marshal(map[string]any{"groups": open})
	files["open.rules.yaml"] = append([]byte(openHeader), raw...)
	return files, err
}
