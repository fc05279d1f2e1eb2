package replicas

import (
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// load starts so many people, each of whose requests goes to the next gateway.
func (c *cluster) load(t testing.TB, n int) *harness.Crowd {
	t.Helper()
	people := make([]*harness.Client, n)
	for i := range people {
		people[i] = c.front.anyone(t).SignUp()
	}
	return harness.NewCrowd(t, harness.Work{
		Turns: strings.Fields("session list upload download refresh"),
		Pause: 20 * time.Millisecond, Largest: 4 << 10, Kind: kindOf, Via: c.front.via,
	}, people...)
}

// sum is how often each kind of answer was seen.
func sum(asked map[string]int) map[string]int {
	seen := map[string]int{}
	for what, n := range asked {
		_, kind, _ := strings.Cut(what, ": ")
		seen[kind] += n
	}
	return seen
}

// nothingFailed ends the work, holds that every answer was a success, and returns how often what was seen.
func nothingFailed(t testing.TB, l *harness.Crowd) map[string]int {
	t.Helper()
	l.Stop()
	asked, failures := l.Take()
	seen := sum(asked)
	for kind, n := range seen {
		if kind != harness.OK {
			t.Errorf("%d requests: %s\n%s", n, kind, failures)
		}
	}
	if seen[harness.OK] == 0 {
		t.Error("nothing was asked at all")
	}
	return seen
}
