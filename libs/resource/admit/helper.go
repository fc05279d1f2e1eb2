package admit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// helperWord is the one argument of a process that admits for another.
const helperWord = "admit-for-parent"

// patience is how long one verdict may take, far above the slowest on a busy machine. Who has waited so long judges itself.
const patience = 30 * time.Second

// helpful is set in programs that can be started as helpers.
var helpful atomic.Bool

// Main must come first in the main function of a program whose service shall admit apart (see Apart). In a process that was
// started as a helper it does the work and does not return; in every other it returns at once.
func Main() {
	if len(os.Args) == 2 && os.Args[1] == helperWord {
		// The parent ends us by closing the pipe; a signal to the whole group is its own.
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		if err := serve(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	helpful.Store(true)
}

// job is schemas to compile, or an object to judge.
type job struct {
	Warm     []string `json:"warm,omitempty"`
	Kind     string   `json:"kind"`
	Raw, Old content
}

// outcome is a Verdict without its typed object, which the parent makes.
type outcome struct {
	Content  content
	Problems []Problem
	Failed   string
}

// content is an object as JSON in which whole numbers and others can still be told apart.
type content map[string]any

// MarshalJSON writes 1.0 where encoding/json would write 1.
func (c content) MarshalJSON() ([]byte, error) { return json.Marshal(pointed(map[string]any(c))) }

// UnmarshalJSON reads whole numbers as int64, as Admit wants them.
func (c *content) UnmarshalJSON(text []byte) error {
	return utiljson.Unmarshal(text, (*map[string]any)(c))
}

// pointed is v with a point in each number that is no int64.
func pointed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return nil
		}
		out := make(map[string]any, len(v))
		for name, field := range v {
			out[name] = pointed(field)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = pointed(item)
		}
		return out
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return v // json tells that it can't be written
		}
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(text, ".e") {
			text += ".0"
		}
		return json.Number(text)
	default:
		return v
	}
}

// serve does one job after the other until in ends.
func serve(in io.Reader, out io.Writer) error {
	a := New()
	jobs, outcomes := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var j job
		if err := jobs.Decode(&j); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := outcomes.Encode(a.do(j)); err != nil {
			return err
		}
	}
}

// helper is a process that admits for this one. It has one job at a time.
type helper struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	jobs     *json.Encoder
	outcomes *json.Decoder
}

// start makes a helper of this very program. It is given no environment: the service's secrets are none of its business.
func start() (*helper, error) {
	program, err := ownProgram()
	if err != nil {
		return nil, fmt.Errorf("find the own program: %w", err)
	}
	cmd := exec.Command(program, helperWord) //nolint:gosec // the program that runs already
	cmd.Env = []string{}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process to admit: %w", err)
	}
	return &helper{cmd: cmd, in: in, jobs: json.NewEncoder(in), outcomes: json.NewDecoder(out)}, nil
}

// ownProgram is what runs now, also after another version has taken its place: its schemas would not be ours.
func ownProgram() (string, error) {
	const running = "/proc/self/exe" // Linux
	if _, err := os.Stat(running); err == nil {
		return running, nil
	}
	return os.Executable()
}

// end closes the pipe, which ends a helper that is well, and kills one that does not follow.
func (h *helper) end() {
	_ = h.in.Close()
	kill := time.AfterFunc(time.Second, func() { _ = h.cmd.Process.Kill() })
	_ = h.cmd.Wait() // how it ended is of no interest: it has nothing of ours
	kill.Stop()
}

func (h *helper) do(j job) (o outcome, err error) {
	late := time.AfterFunc(patience, func() { _ = h.cmd.Process.Kill() })
	defer late.Stop()
	if err := h.jobs.Encode(j); err != nil {
		return o, fmt.Errorf("hand over an object: %w", err)
	}
	if err := h.outcomes.Decode(&o); err != nil {
		return o, fmt.Errorf("wait for a verdict: %w", err)
	}
	return o, nil
}
