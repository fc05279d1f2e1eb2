package argon2

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
)

// helperWord is the one argument of a process that hashes for another.
const helperWord = "hash-for-parent"

// helpful is set in programs that can be started as helpers.
var helpful atomic.Bool

// Main must come first in the main function of a program whose service shall hash apart (see Hasher.Apart). In a process that
// was started as a helper it does the work and does not return; in every other it returns at once.
func Main() {
	if len(os.Args) == 2 && os.Args[1] == helperWord {
		// The parent ends us by closing the pipe, after it has finished what it answers; a signal to the whole group is its own.
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		yield()
		if err := serve(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	helpful.Store(true)
}

// serve does one job after the other until in ends.
func serve(in io.Reader, out io.Writer) error {
	jobs, outcomes := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var j job
		if err := jobs.Decode(&j); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		o, err := j.run()
		if err != nil {
			o = outcome{Failed: err.Error()}
		}
		if err := outcomes.Encode(o); err != nil {
			return err
		}
	}
}

// yield gives every thread of this process the lowest priority: whoever is asked to wait for something else than a
// password goes first. On Linux priority is a thread's, and new threads take that of the one that makes them.
func yield() {
	const lowest, twice = 19, 2 // twice: a thread made while we were at it is seen the second time
	threads := []string{"0"}
	for range twice {
		if found, err := filepath.Glob("/proc/self/task/*"); err == nil && len(found) > 0 {
			threads = found
		}
		for _, t := range threads {
			if id, err := strconv.Atoi(filepath.Base(t)); err == nil {
				_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, lowest) // refused: then we merely don't yield
			}
		}
	}
}
