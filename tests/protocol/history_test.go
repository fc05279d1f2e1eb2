package protocol

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"cloakroom.dev/libs/pgtest"

	"cloakroom.dev/tests/harness"
)

// historyWindow is the reuse window of the stack under test: short, so that it opens and closes often.
const historyWindow = time.Second

// storage is what the auth service keeps its sessions in.
type storage struct {
	edits     []func(yaml string) string // of the stack's resources
	env       []string
	meanwhile func() // happens to it each time the stack is killed
}

// storages are those there are.
var storages = map[string]func(t *testing.T) storage{
	"sqlite": func(*testing.T) storage { return storage{meanwhile: func() {}} },
	// The database is killed as well, and recovers from its own log.
	"postgres": func(t *testing.T) storage {
		server := pgtest.NewServer(t)
		return storage{
			edits:     []func(string) string{harness.Replace(t, "\n  bootstrap:\n", "\n  store: {postgres: {dsn: {env: HISTORY_DSN}}}\n  bootstrap:\n")},
			env:       []string{"HISTORY_DSN=" + server.DSN().Reveal()},
			meanwhile: func() { server.Kill(); server.Start() },
		}
	},
}

// TestHistory_SessionsUnderKillsAndCuts lets people with several clients each refresh, retry, steal, log out, change
// passwords and be blocked, all at once through the gateway, while connections are cut between question and answer and
// the process is killed and started again. Whatever they saw must be explained by the reference model, call by call.
//
// It runs on each storage; on PostgreSQL the database is killed together with the process. HISTORY_SECONDS makes it longer,
// HISTORY_SEED repeats what was drawn, HISTORY_STORE picks one storage.
//
// Seen failing, each within the default time, with the core broken in one place:
//   - the window never closes, or is measured from the last repeat (it slides), or is never open;
//   - a repeat brings a secret of its own instead of the sealed successor;
//   - the previous secret rotates as the live one does;
//   - a reuse is refused and the session lives on;
//   - a password change, or a block, leaves sessions alive;
//   - a logout revokes the access tokens and leaves the session's row.
func TestHistory_SessionsUnderKillsAndCuts(t *testing.T) {
	only := os.Getenv("HISTORY_STORE")
	if _, ok := storages[only]; only != "" && !ok {
		t.Fatalf("no storage is called %q", only)
	}
	for name, open := range storages {
		if only == "" || name == only {
			t.Run(name, func(t *testing.T) { runHistory(t, name, open(t)) })
		}
	}
}

// TestHistory_OverReplicas is the same with two auth services on one PostgreSQL, behind two gateways that use both: every request
// comes by either gateway and is answered by either service. In the middle of each round one of the two is killed, frozen or cut off
// from the database, or the database is killed; at its end both are killed.
//
// A check is let in by what a gateway and a service know of revocations, which may be older than the answer to a logout, by maxStaleness
// at most: so far back it may have been true. Everything else is held to what was there when it was asked.
func TestHistory_OverReplicas(t *testing.T) {
	seconds, _ := strconv.Atoi(cmp.Or(os.Getenv("HISTORY_SECONDS"), "1"))
	seed, _ := strconv.ParseUint(os.Getenv("HISTORY_SEED"), 10, 64)
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	t.Logf("seed %d, %d s", seed, seconds)
	p := newPair(t, historyEdits(t)...)
	h := begin(t, p, p.Bases())
	h.staleness = pairStaleness
	rng := rand.New(rand.NewPCG(seed, 0))
	rounds := 0
	for end := time.Now().Add(time.Duration(seconds) * time.Second); rounds < pairFaults || time.Now().Before(end); rounds++ {
		h.awaitService(t)
		stop := h.setToWork(seed, rng)
		time.Sleep(1500*time.Millisecond + time.Duration(rng.IntN(500))*time.Millisecond)
		what := p.Disturb()
		h.awaitService(t)
		time.Sleep(time.Second + time.Duration(rng.IntN(500))*time.Millisecond)
		p.Kill()
		stop()
		time.Sleep(200 * time.Millisecond) // for what the database was committing at that moment
		h.settle(h.now())
		t.Logf("round %d: %s; %d calls so far", rounds, what, len(h.ops))
		p.Run()
	}
	h.awaitService(t)
	for _, who := range h.people {
		(&client{history: h, person: who, rng: rng}).finish(t)
	}
	h.check(t, rounds)
}

func runHistory(t *testing.T, name string, kept storage) {
	seconds, _ := strconv.Atoi(cmp.Or(os.Getenv("HISTORY_SECONDS"), "12"))
	seed, _ := strconv.ParseUint(os.Getenv("HISTORY_SEED"), 10, 64)
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	t.Logf("store %s, seed %d, %d s", name, seed, seconds)
	h := newHistory(t, kept)
	rng := rand.New(rand.NewPCG(seed, 0))
	kills := 0
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); kills++ {
		stop := h.setToWork(seed, rng)
		time.Sleep(1500*time.Millisecond + time.Duration(rng.IntN(1500))*time.Millisecond)
		h.stack.Kill()
		killed := h.now()
		stop()
		h.settle(killed)
		kept.meanwhile()
		h.stack.Run()
	}
	for _, p := range h.people {
		(&client{history: h, person: p, rng: rng}).finish(t)
	}
	h.check(t, kills)
}

// awaitService waits until each way in lets somebody in, again and again: what is asked before that would mostly be lost.
func (h *history) awaitService(t *testing.T) {
	t.Helper()
	for _, base := range h.bases {
		c := *h.admin
		c.Base = base
		good := 0
		for end := time.Now().Add(time.Minute); good < 5; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s does not serve again within a minute", base)
			}
			if good++; c.Try("GET", "/v1/auth/session", nil).Status != http.StatusOK {
				good = 0
			}
		}
	}
}

// setToWork has everybody's clients work until stop, which waits for them.
func (h *history) setToWork(seed uint64, rng *rand.Rand) (stop func()) {
	quit := make(chan struct{})
	var group sync.WaitGroup
	for _, p := range h.people {
		for range clientsEach {
			w := &client{history: h, person: p, rng: rand.New(rand.NewPCG(seed, rng.Uint64()))}
			group.Go(func() { w.work(quit) })
		}
	}
	return func() { close(quit); group.Wait() }
}

const (
	historyPeople = 5
	clientsEach   = 4
)

// history is everything anybody asked and was answered.
type history struct {
	stack     system
	bases     []string // where requests go, each to any
	staleness time.Duration
	admin     *harness.Client
	people    []*person
	began     time.Time

	mu   sync.Mutex
	ops  []porcupine.Operation
	open int // the first operation of the present process
}

// system is what is tested.
type system interface {
	Kill() // at once: what was asked before happens by then, or never
	Run()
	Bootstrap() harness.Bootstrap
}

func historyEdits(t *testing.T) []func(string) string {
	t.Helper()
	return []func(string) string{
		harness.Replace(t, "  reuseWindow: 10s\n", "  reuseWindow: "+historyWindow.String()+"\n"),
		harness.Replace(t, "  maxSessions: 50\n", "  maxSessions: 1000\n"),
		harness.Replace(t, "    maxFailures: 10\n    maxFailuresPerAddress: 100\n", "    maxFailures: 1000\n    maxFailuresPerAddress: 100000\n"),
		harness.Replace(t, "    limit: 3000\n", "    limit: 1000000\n"),
	}
}

func newHistory(t *testing.T, kept storage) *history {
	t.Helper()
	config := harness.ConfigDir(t, append(kept.edits, historyEdits(t)...)...)
	s := harness.Start(t, append(kept.env, "PORT="+port(t), "CONFIG_DIR="+config)...)
	return begin(t, s, []string{s.Public})
}

// begin signs up the people.
func begin(t *testing.T, s system, bases []string) *history {
	t.Helper()
	h := &history{stack: s, bases: bases, began: time.Now()}
	anyone := harness.NewClient(t, bases[0])
	boot := s.Bootstrap()
	h.admin = anyone.LogIn(boot.Admin.Username, boot.Admin.Password)
	for i := range historyPeople {
		p := &person{password: harness.Password, calm: i%2 == 1}
		ada := anyone.SignUp()
		p.id, p.name = ada.User.ID, ada.User.Username
		ada.Do("POST", "/v1/auth/logout", nil).Is(204) // the model begins without a session
		h.people = append(h.people, p)
	}
	return h
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// port is the same for every process of a stack: clients go on where the killed one was.
func port(t *testing.T) string {
	t.Helper()
	addr := harness.FreeAddrs(t, 1)[0]
	return addr[len("127.0.0.1:"):]
}

func (h *history) now() int64 { return int64(time.Since(h.began)) }

func (h *history) note(in call, out result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{Input: in, Call: in.began, Output: out, Return: in.ended})
}

// settle gives the lost calls of a killed process their end: after it nothing of them can happen any more.
func (h *history) settle(killed int64) {
	for i := h.open; i < len(h.ops); i++ {
		op := &h.ops[i]
		if op.Output.(result).lost {
			in := op.Input.(call)
			in.ended = max(killed, in.began)
			op.Input, op.Return = in, in.ended
		}
	}
	h.open = len(h.ops)
}

func (h *history) check(t *testing.T, kills int) {
	t.Helper()
	counts := map[string]int{}
	for i, op := range h.ops {
		h.ops[i].ClientId = i % (historyPeople * clientsEach)
		in, out := op.Input.(call), op.Output.(result)
		if in.action == string(opCheck) && out.ok {
			h.ops[i].Call = max(0, op.Call-int64(h.staleness))
		}
		switch {
		case out.lost:
			counts[in.action+" lost"]++
		case out.ok:
			counts[in.action+" ok"]++
		default:
			counts[in.action+" refused"]++
		}
	}
	t.Logf("%d calls, %d kills: %v", len(h.ops), kills, counts)
	for _, must := range []string{"refresh ok", "refresh refused", "refresh lost", "logout ok", "password ok", "block ok", "check refused"} {
		if counts[must] == 0 {
			t.Errorf("no %s in the whole history: it shows nothing", must)
		}
	}
	model := reference(historyWindow, harness.Password)
	began := time.Now()
	verdict, info := porcupine.CheckOperationsVerbose(model, h.ops, time.Minute)
	if verdict == porcupine.Ok {
		t.Logf("explained in %v", time.Since(began))
		return
	}
	path := filepath.Join(t.ArtifactDir(), "history.html")
	if err := porcupine.VisualizePath(model, info, path); err != nil {
		t.Error(err)
	}
	t.Errorf("the history is %s by the reference (run with -artifacts to keep %s)\n%s", verdict, path, firstStuck(info))
}

// firstStuck shows, for each person whose history has no explanation, what came around the end of its longest one.
func firstStuck(info porcupine.LinearizationInfo) (text string) {
	for i, partials := range info.PartialLinearizationsOperations() {
		longest := []porcupine.Operation{}
		for _, p := range partials {
			if len(p) > len(longest) {
				longest = p
			}
		}
		text += fmt.Sprintf("person %d, the last calls that could be explained:\n", i)
		for _, op := range longest[max(0, len(longest)-5):] {
			text += fmt.Sprintf("  %v..%v %s\n", time.Duration(op.Call), time.Duration(op.Return), describe(op.Input.(call), op.Output.(result)))
		}
	}
	return text
}
