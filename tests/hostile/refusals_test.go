package hostile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// refusedPeople is a stack that never tires of refusing, and names of everybody whom a wrong password must not tell apart. First comes
// whom the others are held against: somebody with a password here.
func refusedPeople(t *testing.T) (c *harness.Client, names [][2]string) {
	t.Helper()
	one := harness.NewProvider(t)
	config := harness.ConfigDir(t,
		harness.Replace(t, "  sessionPolicyRef:\n", "  identityProviders:\n"+one.Block("one", "")+"  sessionPolicyRef:\n"),
		harness.Replace(t, "    maxFailures: 10\n    maxFailuresPerAddress: 100\n", "    maxFailures: 1000\n    maxFailuresPerAddress: 100000\n"),
		harness.Replace(t, "    limit: 3000\n    window: 1m\n    burst: 1000\n", "    limit: 1000000\n    window: 1m\n    burst: 100000\n"),
	)
	stack := harness.Start(t, "CONFIG_DIR="+config)
	c = harness.NewClient(t, stack.Public)
	moved := filepath.Join(t.TempDir(), "people.ndjson")
	lines := fmt.Sprintf(`{"username": "imported", "password_hash": %q}`+"\n"+`{"username": "without"}`+"\n", oldBcrypt)
	if err := os.WriteFile(moved, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(harness.Build(t, "cloakroom.dev/auth-svc/cmd/auth-svc"),
		"user", "import", "--config", config, "--base", stack.Dir, "--source", "shop", moved)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
	ada, bob := c.SignUp(), c.Fresh().SignUp()
	b := stack.Bootstrap()
	c.LogIn(b.Admin.Username, b.Admin.Password).Do("PATCH", "/v1/users/"+bob.User.ID, fields{"status": "blocked"}).Is(200)
	c.Do("POST", "/v1/auth/signup", fields{"email": "unverified@example.org", "password": harness.Password}).Is(201)
	in(who(t, c, one, "one", "eve", map[string]any{"email": "eve@example.org", "email_verified": true}))
	return c, [][2]string{
		{"wrong", ada.User.Username}, {"unknown", "nobody"}, {"blocked", bob.User.Username}, {"unverified", "unverified@example.org"},
		{"imported hash", "imported"}, {"imported without", "without"}, {"provider only", "eve@example.org"}, {"unreadable", "a b@@c"},
	}
}

// refusal is one way to be refused, and how long it took each time.
type refusal struct {
	name, identifier string
	opts             []harness.Option
	took             []float64
}

// Whoever is refused learns nothing by what is said, and nothing by when: with a session in the body or in cookies. The samples are
// taken in random order, so that what else the machine does falls on all alike; and who seems to be told apart by chance, which one
// run in a hundred does, is looked at again: a leak is there each time.
func TestLogin_RefusalsAreAlikeInWordsAndTime(t *testing.T) {
	c, people := refusedPeople(t)
	var cases []*refusal
	for _, p := range people {
		cases = append(cases, &refusal{name: p[0], identifier: p[1]},
			&refusal{name: p[0] + ", cookies", identifier: p[1], opts: []harness.Option{mode, from("same-origin", c.Base)}})
	}
	refuseInTurns(t, c, cases, 2) // the first ones open connections
	var suspects []string
	for round := range 3 {
		for _, k := range cases {
			k.took = nil
		}
		refuseInTurns(t, c, cases, 20)
		apart := toldApart(t, cases)
		if round > 0 {
			apart = slices.DeleteFunc(apart, func(name string) bool { return !slices.Contains(suspects, name) })
		}
		if suspects = apart; len(suspects) == 0 {
			return
		}
	}
	t.Errorf("told apart by time: %q", suspects)
}

// refuseInTurns has each case refused so many times, and holds that all are told the same.
func refuseInTurns(t *testing.T, c *harness.Client, cases []*refusal, times int) {
	t.Helper()
	instance := regexp.MustCompile(`"instance":"[^"]*"`)
	said := ""
	for range times {
		for _, i := range rand.Perm(len(cases)) {
			k := cases[i]
			began := time.Now()
			a := c.Do("POST", "/v1/auth/login", fields{"identifier": k.identifier, "password": "not the password"}, k.opts...)
			k.took = append(k.took, time.Since(began).Seconds())
			a.Refused(401, "INVALID_CREDENTIALS")
			body := instance.ReplaceAllString(string(a.Body), "")
			if said == "" {
				said = body
			}
			if body != said || len(a.Header["Set-Cookie"]) != 0 {
				t.Errorf("%s: told %s, others %s", k.name, body, said)
			}
		}
	}
}

// toldApart names the cases whose times are not those of a wrong password.
func toldApart(t *testing.T, cases []*refusal) (names []string) {
	t.Helper()
	for _, cookies := range []string{"", ", cookies"} {
		wrong := cases[slices.IndexFunc(cases, func(k *refusal) bool { return k.name == "wrong"+cookies })]
		for _, k := range cases {
			if strings.HasSuffix(k.name, ", cookies") != (cookies != "") || k == wrong {
				continue
			}
			p := sameDistribution(wrong.took, k.took)
			t.Logf("%-26s median %5.1f ms, wrong password %5.1f ms, p = %.3f", k.name, 1000*median(k.took), 1000*median(wrong.took), p)
			if p < 0.01/float64(len(cases)) { // so many comparisons: one in a hundred rounds errs
				names = append(names, k.name)
			}
		}
	}
	return names
}

func median(x []float64) float64 { return slices.Sorted(slices.Values(x))[len(x)/2] }

// sameDistribution is the p of the two-sample test of Kolmogorov and Smirnov.
func sameDistribution(x, y []float64) float64 {
	x, y = slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y))
	i, j, d := 0, 0, 0.0
	for i < len(x) && j < len(y) {
		if x[i] <= y[j] {
			i++
		} else {
			j++
		}
		d = max(d, math.Abs(float64(i)/float64(len(x))-float64(j)/float64(len(y))))
	}
	n := math.Sqrt(float64(len(x)*len(y)) / float64(len(x)+len(y)))
	lambda, p := (n+0.12+0.11/n)*d, 0.0
	for k := 1.0; k < 100; k++ {
		p += 2 * math.Pow(-1, k-1) * math.Exp(-2*k*k*lambda*lambda)
	}
	if lambda < 0.2 { // the sum does not converge there
		return 1
	}
	return min(max(p, 0), 1)
}

func TestPassword_RequiredClassesAreToldAtOnce(t *testing.T) {
	config := harness.ConfigDir(t, harness.Replace(t, "    require: []", "    require: [Upper, Lower, Digit, Special]"))
	c := harness.NewClient(t, harness.Start(t, "CONFIG_DIR="+config).Public)
	const good = "Long enough 4 you!"
	codes := func(a *harness.Answer, field string) (got []string) {
		for _, e := range a.Refused(400, "VALIDATION_ERROR").Errors {
			if e.Field != field {
				t.Errorf("blames %s for %s", e.Field, e.Code)
			}
			got = append(got, e.Code)
		}
		slices.Sort(got)
		return got
	}
	signUp := func(password string) *harness.Answer {
		return c.Do("POST", "/v1/auth/signup", fields{"username": harness.NewUsername(), "password": password})
	}
	for password, want := range map[string][]string{
		"long enough for you":  {"NEEDS_DIGIT", "NEEDS_UPPER"},
		"LONGENOUGH4YOU":       {"NEEDS_LOWER", "NEEDS_SPECIAL"},
		"äöüßäöüßäöüß":         {"NEEDS_DIGIT", "NEEDS_SPECIAL", "NEEDS_UPPER"},
		"1234 5678 9012 345 !": {"NEEDS_LOWER", "NEEDS_UPPER"},
	} {
		if got := codes(signUp(password), "password"); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", password, got, want)
		}
	}
	var made struct {
		User    harness.User
		Session harness.Session
	}
	signUp(good).Is(201).JSON(&made)
	c.Session = made.Session
	change := fields{"current_password": good, "new_password": "long enough for you"}
	if got := codes(c.Do("POST", "/v1/auth/password/change", change), "new_password"); len(got) != 2 {
		t.Errorf("a change is told %v", got)
	}
}
