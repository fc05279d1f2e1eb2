package hostile

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// The promise: a flood of logins, ten times what the hash gate runs and lets wait, costs those who log in, not those who
// are logged in. Quiet and flood are measured in turns in one run, and the medians of the rounds are compared: one stall of the
// disk is a round's p99. The flood comes from a process of its own (flooder_test.go), which steps back behind the service and behind whoever
// measures, as a flood from elsewhere would. Neighbours add far more than twice to either, so the
// ratio is printed always and judged only where FLOOD_RATIO is set (`make test-flood`), on a machine that does nothing else.
// What is judged always: refreshes succeed, the excess gets 503 with a time to come back, memory stays bounded.
func TestLogin_FloodLeavesRefreshesAlone(t *testing.T) {
	const (
		running, waiting = 4, 64 // the gate of stack/config; on few cores fewer run
		flood            = 10 * (running + waiting)
		most             = 2.0
		rounds           = 9
		grown            = 192 << 20 // the gate's 80 MiB, the garbage of as much, and flood connections of both sides of the gateway
	)
	stack := harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t,
		harness.Replace(t, "    maxFailuresPerAddress: 100\n", "    maxFailuresPerAddress: 100000\n"),
		harness.Replace(t, "    limit: 3000\n    window: 1m\n    burst: 1000\n", "    limit: 1000000\n    window: 1m\n    burst: 100000\n"),
	))
	c := harness.NewClient(t, stack.Public)
	people := make([]*harness.Client, 3)
	for i := range people {
		people[i] = c.SignUp()
	}
	refreshes(t, people, 300*time.Millisecond) // warm
	before := stack.RSS()
	var quiet, flooded []time.Duration // p99 of each round
	refused, turns, window := int64(0), 1, 700*time.Millisecond
	if os.Getenv("FLOOD_RATIO") != "" {
		turns, window = rounds, 2*time.Second // some 600 refreshes
	}
	for round := range turns {
		q := p99(refreshes(t, people, window))
		attack := startFlood(t, stack.Public, flood)
		time.Sleep(1200 * time.Millisecond) // until everybody has come and the gate is full
		f := p99(refreshes(t, people, window))
		saw := attack.end()
		quiet, flooded, refused = append(quiet, q), append(flooded, f), refused+saw.Refused
		t.Logf("round %d: refresh p99 %v quiet, %v under the flood; %d logins looked at, %d refused with 503", round, q, f, saw.Looked, saw.Refused)
	}
	slices.Sort(quiet)
	slices.Sort(flooded)
	ratio := float64(flooded[turns/2]) / float64(quiet[turns/2])
	t.Logf("medians of %d rounds: refresh p99 %v quiet, %v under the flood, %.2f times", turns, quiet[turns/2], flooded[turns/2], ratio)
	if held := os.Getenv("FLOOD_RATIO") != ""; held && ratio > most {
		t.Errorf("a refresh takes %.2f times as long under a flood of logins, promised is %v", ratio, most)
	}
	if refused == 0 {
		t.Error("nobody was refused: that was no flood")
	}
	if peak := stack.PeakRSS(); peak > before+grown {
		t.Errorf("resident memory went from %d MiB to %d MiB", before>>20, peak>>20)
	} else {
		t.Logf("resident memory went from %d MiB to %d MiB at most", before>>20, peak>>20)
	}
}

// refreshes lets each person refresh, some fifty times a second, and returns what each refresh took.
func refreshes(t *testing.T, people []*harness.Client, during time.Duration) (took []time.Duration) {
	var mu sync.Mutex
	var group sync.WaitGroup
	end := time.Now().Add(during)
	for _, p := range people {
		group.Go(func() {
			for time.Now().Before(end) {
				d := quickRefresh(t, p)
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	group.Wait()
	return took
}

// quickRefresh is how long the exchange took; what the client does with the answer is not in it.
func quickRefresh(t *testing.T, p *harness.Client) time.Duration {
	body := strings.NewReader(`{"refresh_token":"` + p.Session.RefreshToken + `"}`)
	began := time.Now()
	res, err := p.HTTP().Post(p.Base+"/v1/auth/refresh", "application/json", body)
	if err != nil {
		t.Errorf("refresh: %v", err)
		return 0
	}
	raw, err := io.ReadAll(res.Body)
	took := time.Since(began)
	_ = res.Body.Close()
	var got struct{ Session harness.Session }
	if err := errors.Join(err, json.Unmarshal(raw, &got)); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("refresh answered %d: %v", res.StatusCode, err)
		return took
	}
	p.Session = got.Session
	return took
}

func p99(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)*99/100]
}
