package limitmem

import (
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
