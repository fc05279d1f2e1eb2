package token

import (
	"testing"
	"time"
)

// TestInstant_AgeIsTheLargerOfBothClocks: a machine that slept has an old view, whatever its monotonic clock says.
func TestInstant_AgeIsTheLargerOfBothClocks(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		made time.Time
		wall time.Time
		want time.Duration
	}{
		"both agree":        {now.Add(-time.Second), now.Add(-time.Second), time.Second},
		"the machine slept": {now.Add(-time.Second), now.Add(-time.Hour), time.Hour},
		"clock set back":    {now.Add(-time.Second), now.Add(time.Hour), time.Second},
	} {
		i := instant{made: c.made, wall: c.wall.UnixNano()}
		if got := i.age(now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
