package httpapi_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The times of refusals must be drawn from one distribution, whatever is wrong. Samples are taken in turns, in random
// order, so that whatever else the machine does falls on all of them, and compared by Kolmogorov and Smirnov's distance,
// the largest difference of two empirical distributions.
func TestLogin_RefusalsTakeTheSameTime(t *testing.T) {
	h := openHouse(t)
	h.signup("ada")
	blocked := h.signup("bob")
	h.do(ask{
		method: "PATCH", path: "/v1/users/" + blocked.User.ID, token: h.loginAdmin().access(), body: object{"status": "blocked"},
	}).want(200, "")
	cases := []struct{ name, identifier, password string }{
		{"wrong password", "ada", "wrong password"}, {"unknown", "nobody", "wrong password"}, {"blocked", "bob", "wrong password"},
		{"empty password", "ada", ""}, {"no possible name", "@@@", "wrong password"},
	}
	// By chance 1.95·sqrt(2/n) is passed once in a thousand times. A busy machine may spoil a round, a leak spoils all.
	const samples, rounds, limit = 25, 4, 0.55
	best := map[string]float64{}
	for range rounds {
		times := map[string][]float64{}
		for range samples {
			for _, i := range rand.Perm(len(cases)) {
				c := cases[i]
				began := time.Now()
				h.do(ask{method: "POST", path: "/v1/auth/login", body: object{"identifier": c.identifier, "password": c.password}}).
					want(401, "INVALID_CREDENTIALS")
				times[c.name] = append(times[c.name], float64(time.Since(began)))
			}
		}
		worst := 0.0
		for _, c := range cases[1:] {
			d := distance(slices.Clone(times[cases[0].name]), times[c.name])
			if b, ok := best[c.name]; !ok || d < b {
				best[c.name] = d
			}
			worst = max(worst, best[c.name])
		}
		if worst <= limit {
			return
		}
	}
	t.Error("the distributions of the times of refusals lie apart: " + fmt.Sprint(best))
}

// distance is the largest difference of two empirical distributions.
func distance(a, b []float64) (most float64) {
	slices.Sort(a)
	slices.Sort(b)
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if a[i] <= b[j] {
			i++
		} else {
			j++
		}
		most = max(most, abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return most
}

func abs(v float64) float64 { return max(v, -v) }
