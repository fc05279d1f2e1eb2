package argon2

import (
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"cloakroom.dev/libs/helper"
)

// kind of helpers: one job may take a minute, far above the dearest hash that is allowed on a slow machine.
var kind = helper.NewKind[job, outcome]("hash-for-parent", time.Minute)

// Main must come first in the main function of a program whose service shall hash apart (see Hasher.Apart and helper.Kind).
func Main() {
	kind.Main(func() func(job) outcome {
		yield()
		return func(j job) outcome {
			o, err := j.run()
			if err != nil {
				o = outcome{Failed: err.Error()}
			}
			return o
		}
	})
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
