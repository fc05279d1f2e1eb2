package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// kill sends SIGKILL to the service in a pod, where its node is this machine or a container on it, and waits until the pod has
// started another. It reports whether the process could be seen.
func (s *site) kill(pod string) bool {
	s.t.Helper()
	uid := s.kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
	pid := processOf(uid)
	if pid == 0 {
		return false
	}
	restarts := func() string {
		return s.kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
	}
	before := restarts()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.t.Fatalf("kill %s: %v", pod, err)
	}
	s.wait(time.Minute, pod+" starts again", func() error {
		if restarts() == before {
			return fmt.Errorf("restarted %s times", before)
		}
		return nil
	})
	s.kubectl("wait", "--for=condition=Ready", "pod/"+pod, "--timeout=2m")
	return true
}

// processOf finds the service in a pod: in the control group of the pod, the first process of its container. 0 when there is none to
// be seen. Beside it a pod has the process that holds its network, and the helpers of the service.
func processOf(uid string) (pid int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, path := range all {
		groups, err := os.ReadFile(path)
		if err != nil || !strings.Contains(strings.ReplaceAll(string(groups), "_", "-"), "pod"+uid) {
			continue
		}
		of := filepath.Dir(path)
		program, err := os.Readlink(filepath.Join(of, "exe"))
		status, errs := os.ReadFile(filepath.Join(of, "status"))
		if err = errors.Join(err, errs); err == nil && filepath.Base(program) != "pause" && firstOfContainer(string(status)) {
			pid, _ = strconv.Atoi(filepath.Base(of))
			return pid
		}
	}
	return 0
}

// firstOfContainer reads whether a process is number one where it lives.
func firstOfContainer(status string) bool {
	for line := range strings.Lines(status) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			all := strings.Fields(ids)
			return len(all) > 1 && all[len(all)-1] == "1"
		}
	}
	return false
}
