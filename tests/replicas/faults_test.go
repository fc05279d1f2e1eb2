package replicas

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// staleness is after how long a gateway that hears nothing of revocations refuses: maxStaleness of the resources. A moment is
// what this busy machine may be late.
const staleness, moment = 5 * time.Second, time.Second

// recovery is within how long everything works again, after what was broken is whole.
const recovery = 15 * time.Second

// fault is something that breaks, and what is promised meanwhile.
type fault struct {
	part, what string
	promise    string
	// inflict breaks it; heal makes it whole.
	inflict func(t *testing.T, c *cluster) (heal func())
	lasts   time.Duration
	// each lets it happen to these parts, one after the other.
	each []string
	// may are the refusals clients may see, by status; "no answer" is an end without one.
	may []string
	// serves are what must not fail at all, of session, list, upload, download, refresh.
	serves []string
	// atLast looks just before the end of the fault.
	atLast func(t *testing.T, c *cluster, ada *harness.Client)
}

func (f fault) name() string { return f.part + ": " + f.what }

// faults are all of them; docs/guides/faults.md has a row for each.
func faults() []fault {
	everything := []string{"session", "list", "upload", "download", "refresh"}
	withoutBytes := []string{"session", "list", "refresh"}
	reading := []string{"session", "list"}
	refused := []string{"503", "504"}
	brief := 2 * time.Second
	killed := func(name string) func(*testing.T, *cluster) func() {
		return func(t *testing.T, c *cluster) func() { return c.kill(t, name) }
	}
	paused := func(name string) func(*testing.T, *cluster) func() {
		return func(t *testing.T, c *cluster) func() { return c.pause(t, name) }
	}
	gone := func(name string) func(*testing.T, *cluster) func() {
		return func(t *testing.T, c *cluster) func() { return cut(t, c.lines.of("", name)) }
	}
	with := func(name string, what toxin) func(*testing.T, *cluster) func() {
		return func(t *testing.T, c *cluster) func() { return poison(t, c.lines.of("", name), what) }
	}
	list := []fault{
		{part: "PostgreSQL", what: "killed", inflict: killed("postgres"), lasts: brief, may: refused, promise: "503 until it is back; no session and no file is lost"},
		{part: "PostgreSQL", what: "frozen beyond maxStaleness", inflict: paused("postgres"), lasts: staleness + 2*time.Second, may: refused, atLast: refusesEverywhere,
			promise: "503; after maxStaleness every gateway refuses whoever is logged in, for nobody can log out any more"},
		{part: "PostgreSQL", what: "cut off", inflict: gone("postgres"), lasts: brief, may: refused, promise: "503 until it is back; no session and no file is lost"},
		{part: "PostgreSQL", what: "slow", inflict: with("postgres", slow), lasts: brief, serves: everything, promise: "everything is served, slowly"},
		{part: "Bucket", what: "killed", inflict: killed("bucket"), lasts: brief, may: append(refused, "no answer"), serves: withoutBytes, promise: "contents 503 or cut; everything else is served"},
		{part: "Bucket", what: "frozen", inflict: paused("bucket"), lasts: brief, may: append(refused, "no answer"), serves: withoutBytes, promise: "contents wait, 503 or cut; everything else is served"},
		{part: "Bucket", what: "cut off", inflict: gone("bucket"), lasts: brief, may: append(refused, "no answer"), serves: withoutBytes, promise: "contents 503 or cut; everything else is served"},
		{part: "Bucket", what: "connections reset", inflict: with("bucket", resets), lasts: brief, may: append(refused, "no answer"), serves: withoutBytes, promise: "contents 503 or cut; everything else is served"},
		{part: "Bucket", what: "slow", inflict: with("bucket", slow), lasts: brief, serves: everything, promise: "everything is served, contents slowly"},
		{part: "Redis", what: "killed", inflict: killed("redis"), lasts: brief, serves: everything, promise: "everything is served; each gateway keeps its share of the limits"},
		{part: "Redis", what: "frozen", inflict: paused("redis"), lasts: brief, serves: everything, promise: "everything is served; each gateway keeps its share of the limits"},
		{part: "Redis", what: "cut off", inflict: gone("redis"), lasts: brief, serves: everything, promise: "everything is served; each gateway keeps its share of the limits"},
		{part: "Redis", what: "slow", inflict: with("redis", slow), lasts: brief, serves: everything, promise: "everything is served; each gateway keeps its share of the limits"},
	}
	for _, kind := range []struct {
		part  string
		names []string
		sees  string
	}{{"Auth service", auths, "the other one serves; uploads and refreshes that were with this one may be 502 or 503, downloads cut"}, {"Files service", filesSvc, "the other one serves; uploads and refreshes that were with this one may be 502 or 503, downloads cut"}} {
		list = append(list,
			fault{part: kind.part, what: "killed, each in turn", each: kind.names, lasts: brief, may: []string{"502", "503", "no answer"}, serves: reading, promise: kind.sees},
			fault{part: kind.part, what: "frozen, each in turn", each: kind.names, lasts: 4 * time.Second, may: []string{"503", "504"}, promise: "the other one serves; what was with this one waits"},
			fault{part: kind.part, what: "cut off, each in turn", each: kind.names, lasts: brief, may: []string{"502", "503", "no answer"}, serves: reading, promise: kind.sees},
		)
	}
	return append(list,
		fault{part: "Gateway", what: "killed, each in turn", each: gateways, lasts: brief, may: []string{"no answer"}, promise: "requests on their way through it end; the others serve"},
		fault{part: "Gateway", what: "frozen, each in turn", each: gateways, lasts: brief, promise: "requests on their way through it wait; the others serve"},
		fault{part: "Gateway", what: "hears nothing of revocations", lasts: staleness + 2*time.Second, may: refused, inflict: deaf, atLast: firstRefuses,
			promise: "after maxStaleness it refuses whoever is logged in with 503; the others serve"},
	)
}

// deaf silences what the first gateway hears of the auth service's internal listeners, and nothing else.
func deaf(t *testing.T, c *cluster) (heal func()) {
	var some []*line
	for _, name := range auths {
		for _, l := range c.lines.of(gateways[0], name) {
			if strings.HasSuffix(l.proxy.Upstream, ":8082") {
				some = append(some, l)
			}
		}
	}
	return poison(t, some, silent)
}

// refusesEverywhere holds that no gateway lets somebody in whom it can't know to be still logged in.
func refusesEverywhere(t *testing.T, c *cluster, ada *harness.Client) {
	for _, d := range c.front.doors {
		if a := at(ada, d.base).Try("GET", "/v1/files/usage", nil); a.Status != http.StatusServiceUnavailable {
			t.Errorf("%s answers %s, want 503", d.name, kindOf(a))
		}
	}
}

func firstRefuses(t *testing.T, c *cluster, ada *harness.Client) {
	for i, d := range c.front.doors {
		a := at(ada, d.base).Try("GET", "/v1/files/usage", nil)
		if want := map[bool]int{true: http.StatusServiceUnavailable, false: http.StatusOK}[i == 0]; a.Status != want {
			t.Errorf("%s answers %s, want %d", d.name, kindOf(a), want)
		}
	}
}

// TestFaults lets every fault happen under load and holds: only what may be refused is refused, nothing else goes wrong, nobody
// who is logged out gets in, everything works again by itself, and what was acknowledged is there.
func TestFaults(t *testing.T) {
	c := up(t)
	var rows []row
	for _, f := range faults() {
		ran := t.Run(f.name(), func(t *testing.T) { rows = append(rows, c.suffer(t, f)) })
		if !ran {
			for _, name := range append(slices.Clone(stores), services()...) {
				t.Logf("%s printed:\n%s", name, c.logs(name, 12))
			}
		}
	}
	if len(rows) == len(faults()) && !t.Failed() {
		writeGuide(t, rows)
	}
}

// suffer lets one fault happen, to each of its parts in turn.
func (c *cluster) suffer(t *testing.T, f fault) row {
	t.Helper()
	l := c.load(t, 4)
	ada, out := c.front.anyone(t).SignUp(), c.front.anyone(t).SignUp()
	w := c.watch(t)
	w.logOut(out)
	parts := f.each
	if len(parts) == 0 {
		parts = []string{""}
	}
	var slowest time.Duration
	l.Take()
	for _, name := range parts {
		leaver := c.front.via(ada).LogIn(ada.User.Username, harness.Password)
		heal := f.begin(t, c, name)
		end := time.Now().Add(f.lasts)
		w.logOutMeanwhile(leaver, end)
		time.Sleep(time.Until(end))
		if f.atLast != nil {
			f.atLast(t, c, ada)
		}
		healed := time.Now()
		heal()
		slowest = max(slowest, c.recovered(t, ada, healed))
		if len(parts) > 1 {
			c.believedIn(t) // or the next fault would find the other one still left alone
		}
	}
	w.stop()
	l.Stop()
	asked, failures := l.Take()
	for what, n := range asked {
		asking, kind, _ := strings.Cut(what, ": ")
		allowed := kind == harness.OK || !slices.Contains(f.serves, asking) && slices.ContainsFunc(f.may, func(may string) bool { return strings.HasPrefix(kind, may) })
		if !allowed {
			t.Errorf("%d × %s, which must not be:\n%s", n, what, failures)
		}
	}
	t.Logf("%s: %v, recovered in %v", f.name(), asked, slowest.Round(time.Millisecond))
	return row{fault: f, seen: sum(asked), recovered: slowest}
}

// begin inflicts the fault on a part, or on what it is about by itself.
func (f fault) begin(t *testing.T, c *cluster, name string) (heal func()) {
	switch {
	case f.inflict != nil:
		return f.inflict(t, c)
	case strings.HasPrefix(f.what, "killed"):
		return c.kill(t, name)
	case strings.HasPrefix(f.what, "frozen"):
		return c.pause(t, name)
	default:
		return cut(t, c.lines.of("", name))
	}
}

// believedIn waits until every gateway uses every address of both services again.
func (c *cluster) believedIn(t *testing.T) {
	t.Helper()
	wait(t, 30*time.Second, "every address is in use again", func(ctx context.Context) error {
		for _, name := range gateways {
			up, err := c.addressesUp(ctx, name)
			if want := len(auths) + len(filesSvc); err != nil || up != want {
				return fmt.Errorf("%s uses %d of %d addresses (%w)", name, up, want, err)
			}
		}
		return nil
	})
}

// addressesUp asks a gateway's metrics how many addresses it uses.
func (c *cluster) addressesUp(ctx context.Context, name string) (sum int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.Replace(c.parts[name].ready, "/readyz", "/metrics", 1), nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	for scan := bufio.NewScanner(res.Body); scan.Scan(); {
		if line := scan.Text(); strings.HasPrefix(line, "cloakroom_gateway_upstream_addresses{") && strings.Contains(line, `state="up"`) {
			n, err := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}

// recovered tries everything at every gateway until it works, and returns how long that took since it was whole.
func (c *cluster) recovered(t *testing.T, ada *harness.Client, began time.Time) time.Duration {
	t.Helper()
	for {
		err := c.works(ada)
		took := time.Since(began)
		if err == nil {
			return took
		}
		if took > recovery {
			t.Errorf("after %v: %v", took, err)
			return took
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *cluster) works(ada *harness.Client) error {
	for _, name := range services() {
		if !answers(c.parts[name].ready) {
			return errors.New(name + " is not ready")
		}
	}
	for _, d := range c.front.doors {
		if !d.open.Load() {
			return errors.New(d.name + " is not open")
		}
		me := at(ada, d.base)
		made := me.Try("POST", "/v1/files", bytes.NewReader([]byte("again")), harness.Raw("again"))
		if made.Status != http.StatusCreated {
			return fmt.Errorf("an upload at %s: %s", d.name, kindOf(made))
		}
		read := me.Try("GET", "/v1/files/"+made.File().ID+"/content", nil)
		if read.Status != http.StatusOK || string(read.Body) != "again" {
			return fmt.Errorf("a download at %s: %s", d.name, kindOf(read))
		}
		if a := me.Try("GET", "/v1/auth/session", nil); a.Status != http.StatusOK {
			return fmt.Errorf("the session at %s: %s", d.name, kindOf(a))
		}
	}
	return nil
}
