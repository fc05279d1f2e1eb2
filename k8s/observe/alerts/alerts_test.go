package alerts_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cloakroom.dev/k8s/observe/alerts"
)

func TestThresholds_OfOneFileReachTheRules(t *testing.T) {
	defaults, err := alerts.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	own, err := defaults.With([]byte("revocationLagSeconds: 1.5\nnotAcceptedFor: 3m\navailabilityObjective: 0.99\nscrubAgeSeconds: 12345678\n"))
	if err != nil {
		t.Fatal(err)
	}
	groups, err := alerts.Groups(own)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"CloakroomRevocationLag": "> 1.5", "CloakroomScrubBehind": "> 12345678", "CloakroomAvailabilityBurn": "14.4 * 0.01",
	}
	for _, g := range groups {
		for _, r := range g.Rules {
			if part, ok := want[r.Alert]; ok && strings.Contains(r.Expr, part) {
				delete(want, r.Alert)
			}
			if r.Alert == "CloakroomConfigDiffers" && r.For != "3m" {
				t.Errorf("%s waits %s", r.Alert, r.For)
			}
			if strings.ContainsAny(r.Expr+r.For, "$") || strings.Contains(r.Expr, "<no") {
				t.Errorf("%s%s: %s", r.Record, r.Alert, r.Expr)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not in force: %v", want)
	}
}

func TestThresholds_RefuseWhatWouldDoNothing(t *testing.T) {
	defaults, err := alerts.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"revocationLag: 1\n", "revocationLagSeconds: soon\n", "notAcceptedFor: 600\n", "revocationLagSeconds: 1\nrevocationLagSeconds: 2\n", "- 1\n"} {
		if _, err := defaults.With([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// What would be an alert that never fires, or always does, makes no rules.
func TestGroups_RefuseObjectivesThatNoneIs(t *testing.T) {
	for name, value := range map[string]float64{"availabilityObjective": 1, "latencyObjective": 99, "latencySeconds": 0.3} {
		thresholds, err := alerts.Defaults()
		if err != nil {
			t.Fatal(err)
		}
		thresholds[name] = value
		if _, err := alerts.Groups(thresholds); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s of %v: %v", name, value, err)
		}
	}
}

// Filled in by whoever has the chart, the open rules are the others.
func TestFiles_OpenRulesLackThresholdsAndNothingElse(t *testing.T) {
	defaults, err := alerts.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	files, err := alerts.Files(defaults, "")
	if err != nil {
		t.Fatal(err)
	}
	open := string(files["open.rules.yaml"])
	for name, value := range defaults {
		if !strings.Contains(open, "<"+name+">") && !strings.HasSuffix(name, "Objective") {
			t.Errorf("%s is not open", name)
		}
		text, ok := value.(string)
		if number, _ := value.(float64); !ok {
			text = strconv.FormatFloat(number, 'f', -1, 64)
		}
		open = strings.ReplaceAll(open, "<"+name+">", text)
	}
	open = strings.ReplaceAll(strings.ReplaceAll(open, "<availabilityBudget>", "0.001"), "<latencyBudget>", "0.01")
	if _, open, _ = strings.Cut(open, "Prometheus.\n"); open == "" || !strings.HasSuffix(string(files["cloakroom.rules.yaml"]), open) {
		t.Error("filled in, they differ from the rules")
	}
}

func TestGroups_ThresholdsAndRulesKnowEachOther(t *testing.T) {
	for name, change := range map[string]func(alerts.Thresholds){
		"one that no rule uses":      func(t alerts.Thresholds) { t["moonPhase"] = 1.0 },
		"one that a rule would have": func(t alerts.Thresholds) { delete(t, "quotaRefusalRatio") },
	} {
		thresholds, err := alerts.Defaults()
		if err != nil {
			t.Fatal(err)
		}
		change(thresholds)
		if _, err := alerts.Groups(thresholds); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAlerts_HaveASeverityASentenceAndARunbook(t *testing.T) {
	thresholds, err := alerts.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	groups, err := alerts.Groups(thresholds)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			severity := r.Labels["severity"]
			if severity != "page" && severity != "ticket" || r.Annotations["summary"] == "" || r.Annotations["runbook_url"] != alerts.Runbooks+r.Alert+".md" {
				t.Errorf("%s: %v %v", r.Alert, r.Labels, r.Annotations)
			}
		}
	}
}

// What the page for operators promises is what alerts hold it to.
func TestObjectives_AreThoseOfThePage(t *testing.T) {
	raw, err := os.ReadFile("../../../docs/guides/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(raw)), " ")
	defaults, err := alerts.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	number := func(name string, times float64) string {
		switch v := defaults[name].(type) {
		case float64:
			return strconv.FormatFloat(v*times, 'g', 6, 64)
		default:
			t.Fatalf("%s is %v", name, v)
			return ""
		}
	}
	for _, want := range []string{
		number("availabilityObjective", 100) + " % of requests are not answered 5xx",
		number("latencyObjective", 100) + " % of requests are answered within " + number("latencySeconds", 1) + " s",
		"99 % of revocations are heard everywhere within " + number("revocationSpreadSeconds", 1) + " s",
		"verified in " + number("scrubAgeSeconds", 0.8/86400) + " days", // the alert waits a quarter longer
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	groups, err := alerts.Groups(defaults)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		for _, r := range g.Rules {
			if factor := burning.FindStringSubmatch(r.Expr); factor != nil && r.Alert == "CloakroomAvailabilityBurn" &&
				!strings.Contains(page, factor[1]+" times") && factor[1] != "1" {
				t.Errorf("the page says nothing of a budget that burns %s times too fast", factor[1])
			}
		}
	}
}

var burning = regexp.MustCompile(`> ([0-9.]+) \* `)

func TestFiles_LeadToTheRunbooksOfWhoeverRunsIt(t *testing.T) {
	defaults, err := alerts.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	files, err := alerts.Files(defaults, "https://wiki.example.org/runbooks/")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if name == "open.rules.yaml" {
			continue // the chart has a value for it
		}
		if !strings.Contains(string(text), "runbook_url: https://wiki.example.org/runbooks/CloakroomAbsent.md\n") || strings.Contains(string(text), alerts.Runbooks) {
			t.Errorf("%s leads elsewhere", name)
		}
	}
}
