package limitmem

import (
	"maps"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/routing"

	"github.com/prometheus/client_golang/prometheus"
)

// A rule's state can be forgotten between the moment a Take finds it and the moment it locks it. Such a state must be seen
// to be dead, and the next look must find a live one: a request charged to the dead one would be for free.
func TestForget_IsSeenByATakeThatFoundTheStateBefore(t *testing.T) {
	l := New(Options{}, prometheus.NewRegistry())
	charges := []routing.Charge{{Rule: &routing.LimitRule{Policy: "p", Name: "r", Limit: 1, Window: time.Hour, Burst: 1}}}
	before := l.find(charges, nil)
	l.sweep()
	unlock(lock(before, nil))
	if !before[0].state.dead {
		t.Fatal("a state without keys outlived the sweep, or is not marked as dead")
	}
	seats, locked := l.enter(charges, nil, nil)
	unlock(locked)
	if seats[0].state == before[0].state || seats[0].state.dead {
		t.Fatal("the dead state was entered")
	}

	verdicts := make([]routing.Verdict, 1)
	_ = l.Take(t.Context(), charges, verdicts)
	l.sweep()
	_ = l.Take(t.Context(), charges, verdicts)
	if verdicts[0].Allowed {
		t.Fatal("a sweep forgot a key in debt")
	}
}

// What was counted of a rule is shown as long as there is the rule, or a key of it in debt, and no longer.
func TestUse_TakesAwayWhatWasCountedOfRulesThatAreGone(t *testing.T) {
	now := time.Now()
	reg := prometheus.NewRegistry()
	l := New(Options{Now: func() time.Time { return now }}, reg)
	take := func(name string) {
		charge := routing.Charge{Rule: &routing.LimitRule{Policy: "p", Name: name, Limit: 1, Window: time.Hour, Burst: 1}}
		_ = l.Take(t.Context(), []routing.Charge{charge}, make([]routing.Verdict, 1))
	}
	shown := func(when string, rules ...string) {
		t.Helper()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, label := range m.GetLabel() {
					if label.GetName() == "rule" {
						got[label.GetValue()] = true
					}
				}
			}
		}
		want := map[string]bool{}
		for _, r := range rules {
			want[r] = true
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v are shown, want %v", when, got, want)
		}
	}
	take("stays")
	take("goes")
	l.sweep()
	shown("before anybody says which there are", "p.stays", "p.goes")
	l.Use(map[string]bool{"p.stays": true})
	shown("while a key of it is in debt", "p.stays", "p.goes")
	now = now.Add(2 * time.Hour)
	l.sweep()
	shown("when none is", "p.stays")
	take("stays")
	l.Use(map[string]bool{"p.stays": true, "p.goes": true})
	take("goes")
	shown("when it is back", "p.stays", "p.goes")
	now = now.Add(2 * time.Hour)
	l.sweep()
	shown("in use, without debt", "p.stays", "p.goes")
	l.Use(map[string]bool{})
	shown("gone, without debt")
}
