package alerts_test

import (
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
