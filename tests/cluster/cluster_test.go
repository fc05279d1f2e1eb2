// Package cluster installs, upgrades and breaks Cloakroom in a real Kubernetes: images as they are shipped, the chart through helm,
// kubectl as people use it, an ingress controller in front, and clients that work through it without a pause.
//
//	find a cluster -> make and load images of a release and of the next -> the front -> helm install -> the main job and the e2e suite
//	-> steps under load -> a table
//
// It promises that a request which fails is counted: no client here tries anything twice. It runs under TEST_CLUSTER=1, which `make
// test-cluster` sets, and takes the cluster of $KUBECONFIG, else one that kind makes, else one that a command brings up
// (CLOAKROOM_TEST_CLUSTER_UP, or ../shared/cluster/up beside the checkout). Without any it says so in a loud line, and fails on CI.
// CLUSTER_WRITE=1 writes what was seen to docs/guides/kubernetes.md.
//
// In front stands HAProxy, told by a controller of the test's own (./front): TLS ends there, and the way round it is closed. It asks another
// pod only where it could not connect to the first, so that what a gateway fails is seen and not mended.
package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// cluster is how a Kubernetes is reached.
type cluster struct {
	root string // of the repository
	env  []string
	helm string
	load []string // a command that takes names of images; none where the cluster has a registry of its own
	drop func()   // takes a cluster away that was made for this run
	said string   // where it came from
}

var the struct {
	sync.Mutex
	cluster *cluster
	failed  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if the.cluster != nil && the.cluster.drop != nil {
		the.cluster.drop()
	}
	os.Exit(code)
}

// up returns the cluster; the first caller finds it.
func up(t *testing.T) *cluster {
	t.Helper()
	if os.Getenv("TEST_CLUSTER") == "" {
		t.Skip("*** NOT RUN without TEST_CLUSTER=1: the chart in a real Kubernetes (make test-cluster) ***")
	}
	the.Lock()
	defer the.Unlock()
	if the.cluster == nil && the.failed == nil {
		began := time.Now()
		the.cluster, the.failed = find(harness.Root(t))
		if the.cluster != nil {
			t.Logf("the cluster of %s after %v", the.cluster.said, time.Since(began).Round(time.Second))
		}
	}
	switch {
	case the.failed == nil:
	case errors.Is(the.failed, errNone) && os.Getenv("CI") != "true":
		t.Skipf("*** NOT RUN for want of a Kubernetes: the chart in a real cluster (%v) ***", the.failed)
	default:
		t.Fatalf("a Kubernetes is needed: %v", the.failed)
	}
	return the.cluster
}

var errNone = errors.New("no $KUBECONFIG, no kind with its node image, no CLOAKROOM_TEST_CLUSTER_UP")

// find takes the first cluster that can be had.
func find(root string) (*cluster, error) {
	c := &cluster{root: root}
	script := os.Getenv("CLOAKROOM_TEST_CLUSTER_UP")
	if beside := filepath.Join(root, "../shared/cluster/up"); script == "" && exists(beside) {
		script = beside
	}
	switch {
	case os.Getenv("KUBECONFIG") != "":
		c.said = "$KUBECONFIG"
		c.load = strings.Fields(os.Getenv("CLOAKROOM_TEST_CLUSTER_LOAD"))
	case c.kind() == nil:
		c.said = "kind"
	case script != "":
		c.said = script
		if err := c.bring(script); err != nil {
			return nil, err
		}
	default:
		return nil, errNone
	}
	out, err := c.run("charts", nil, "go", "tool", "-n", "helm")
	if err != nil {
		return nil, err
	}
	c.helm = strings.TrimSpace(out)
	_, err = c.run("", nil, "kubectl", "get", "--raw=/readyz")
	return c, err
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// kind makes a cluster of its own, where kind is and its node image can be had.
func (c *cluster) kind() error {
	if _, err := exec.LookPath("kind"); err != nil {
		return err
	}
	name := fmt.Sprintf("cloakroom-%d", os.Getpid())
	dir, err := os.MkdirTemp("", name)
	if err != nil {
		return err
	}
	remove := func() {
		_, _ = c.run("", nil, "kind", "delete", "cluster", "--name", name)
		_ = os.RemoveAll(dir)
	}
	c.env = []string{"KUBECONFIG=" + filepath.Join(dir, "kubeconfig")}
	if _, err := c.run("", nil, "kind", "create", "cluster", "--name", name, "--wait", "3m"); err != nil {
		c.env = nil
		remove()
		return err
	}
	c.load, c.drop = []string{"kind", "load", "docker-image", "--name", name}, remove
	return nil
}

// bring runs a command that brings a cluster up and prints `export KUBECONFIG=…` and `export PATH=…`. Beside it stands `load`.
func (c *cluster) bring(script string) error {
	out, err := c.run("", nil, "bash", "-c", `eval "$("$0" | grep ^export)"; printf 'KUBECONFIG=%s\nPATH=%s\n' "$KUBECONFIG" "$PATH"`, script)
	if err != nil {
		return fmt.Errorf("%s: %w", script, err)
	}
	c.env = strings.Split(strings.TrimSpace(out), "\n")
	c.load = strings.Fields(os.Getenv("CLOAKROOM_TEST_CLUSTER_LOAD"))
	if beside := filepath.Join(filepath.Dir(script), "load"); len(c.load) == 0 && exists(beside) {
		c.load = []string{beside}
	}
	return nil
}

// run runs a command in a folder of the repository, with the cluster in its environment. It returns what was printed to stdout.
func (c *cluster) run(folder string, stdin []byte, name string, args ...string) (string, error) {
	return c.runFor(10*time.Minute, folder, stdin, name, args...)
}

func (c *cluster) runFor(patience time.Duration, folder string, stdin []byte, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.look(name), args...)
	cmd.Dir = filepath.Join(c.root, folder)
	cmd.Env = append(os.Environ(), c.env...)
	if folder == "charts" {
		cmd.Env = append(cmd.Env, "GOWORK=off")
	}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// look finds a program on the cluster's own PATH, which may not be ours.
func (c *cluster) look(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, e := range c.env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			for _, dir := range filepath.SplitList(path) {
				if full := filepath.Join(dir, name); exists(full) {
					return full
				}
			}
		}
	}
	return name
}

func must[T any](t testing.TB, do string) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", do, err)
		}
		return v
	}
}
