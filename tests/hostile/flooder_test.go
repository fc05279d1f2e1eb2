package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// flooder is this program once more, as a flood of logins: its environment says of how many, and against whom. It goes on until
// its input ends, and prints what it saw.
const (
	flooderMany   = "CLOAKROOM_TEST_FLOOD_OF"
	flooderTarget = "CLOAKROOM_TEST_FLOOD_AT"
)

// flooderNice lets everybody else go first: behind the service and its clients, before the hashes, which are at the end of the queue.
const flooderNice = "10"

// flooderSaw is what became of the logins.
type flooderSaw struct {
	Looked  int64  // at, and refused with 401
	Refused int64  // with 503 and a time to come back
	Wrong   int64  // answered with anything else
	Example string // of those
}

type flooder struct {
	t     *testing.T
	cmd   *exec.Cmd
	input io.Closer
	said  strings.Builder
}

// startFlood keeps n logins under way, each of somebody else.
func startFlood(t *testing.T, target string, n int) *flooder {
	t.Helper()
	f := &flooder{t: t, cmd: exec.Command("nice", "-n", flooderNice, os.Args[0])}
	f.cmd.Env = append(os.Environ(), flooderMany+"="+strconv.Itoa(n), flooderTarget+"="+target)
	f.cmd.Stdout, f.cmd.Stderr = &f.said, os.Stderr
	input, err := f.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	f.input = input
	if err := f.cmd.Start(); err != nil {
		t.Fatalf("start the flood: %v", err)
	}
	return f
}

// end ends the flood, whose every login was either looked at or refused.
func (f *flooder) end() (saw flooderSaw) {
	f.t.Helper()
	_ = f.input.Close()
	if err := f.cmd.Wait(); err != nil {
		f.t.Fatalf("the flood: %v", err)
	}
	if err := json.Unmarshal([]byte(f.said.String()), &saw); err != nil {
		f.t.Fatalf("the flood said %q: %v", f.said.String(), err)
	}
	if saw.Wrong > 0 {
		f.t.Errorf("%d logins were answered wrongly: %s", saw.Wrong, saw.Example)
	}
	return saw
}

// floodIfAsked is the whole life of the other program. It returns at once in the one that tests.
func floodIfAsked() {
	many, err := strconv.Atoi(os.Getenv(flooderMany))
	if err != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whoever started this has had enough, or has gone
		stop()
	}()
	l := flood{target: os.Getenv(flooderTarget), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: many}}}
	var group sync.WaitGroup
	for i := range many {
		group.Go(func() { l.one(ctx, i) })
	}
	group.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(flooderSaw{l.looked.Load(), l.refused.Load(), l.wrong.Load(), l.example}); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

type flood struct {
	target                 string
	client                 *http.Client
	looked, refused, wrong atomic.Int64
	once                   sync.Once
	example                string
}

// one tries to log in, again and again. Who is turned away comes back when told, give or take: a machine that makes its own
// flood must not spend itself on making it, nor make it in beats.
func (l *flood) one(ctx context.Context, who int) {
	wait := time.Duration(rand.Int64N(int64(time.Second)))
	for try := 0; ; try++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		status, after, err := l.login(fmt.Sprintf("nobody-%d-%d", who, try))
		seconds, wrong := strconv.Atoi(after)
		wait = 0
		switch {
		case err == nil && status == http.StatusUnauthorized:
			l.looked.Add(1)
		case err == nil && status == http.StatusServiceUnavailable && wrong == nil && seconds >= 1:
			l.refused.Add(1)
			wait = time.Duration(seconds)*time.Second + time.Duration(rand.Int64N(int64(time.Second)))
		default:
			l.wrong.Add(1)
			l.once.Do(func() { l.example = fmt.Sprintf("status %d, Retry-After %q, error %v", status, after, err) })
			wait = time.Second
		}
	}
}

// login costs its caller little: nobody holds the answer against the contract.
func (l *flood) login(name string) (status int, after string, err error) {
	res, err := l.client.Post(l.target+"/v1/auth/login", "application/json", strings.NewReader(`{"identifier":"`+name+`","password":"a guess"}`))
	if err != nil {
		return 0, "", fmt.Errorf("log in: %w", err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode, res.Header.Get("Retry-After"), nil
}
