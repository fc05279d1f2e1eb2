// Package container runs what tests talk to in docker.
//
// Shared finds the one container of its kind that belongs to the `go test` above this process, or starts it and leaves a
// process behind that removes it when that command has ended. Start runs one more. Without docker a test is skipped, loudly; where
// CI=true it fails.
package container

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

// Kind is a sort of server.
type Kind struct {
	Name     string // in lower case, of containers and labels
	Title    string // for people
	Port     docker.Port
	ImageEnv string // names the variable that names an image
	Local    string // image that tests/images makes
	Official string
	Entry    []string // in place of the image's own entry point
	Env      []string
	Tmpfs    []string // folders of the container that lie in memory
	// Ready returns nil when the server at an address answers.
	Ready func(address string) error
}

// Server is a running container, on a port of this machine that stays its own over restarts.
type Server struct {
	Address  string
	kind     *Kind
	docker   *dockertest.Pool
	resource *dockertest.Resource
}

// patience is how long a server may take to answer after its start.
const patience = time.Minute

var connect = sync.OnceValues(func() (*dockertest.Pool, error) {
	pool, err := dockertest.NewPool("")
	if err != nil {
		return nil, err
	}
	pool.MaxWait = patience
	return pool, pool.Client.Ping()
})

// Need ends the test where there is no docker.
func (k *Kind) Need(t testing.TB) {
	t.Helper()
	_, err := connect()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("docker is needed for %s: %v", k.Title, err)
	default:
		t.Skipf("*** NOT RUN for want of docker: this test on %s (%v) ***", k.Title, err)
	}
}

// Shared finds the server of this `go test`, or starts it with these options.
func (k *Kind) Shared(options ...string) (*Server, error) {
	unlock, err := k.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	pool, err := connect()
	if err != nil {
		return nil, err
	}
	owner := os.Getppid()
	name := "cloakroom-test-" + k.Name + "-" + strconv.Itoa(owner)
	if found, ok := pool.ContainerByName("^/" + name + "$"); ok && found.Container.State.Running {
		s := &Server{Address: found.GetHostPort(string(k.Port)), kind: k, docker: pool, resource: found}
		return s, s.await()
	}
	_ = pool.RemoveContainerByName("^/" + name + "$") // one that has stopped, of a process long gone
	s, err := k.start(name, options...)
	if err != nil {
		return nil, err
	}
	return s, reap(owner, name)
}

// lock lets one test binary at a time look for the container.
func (k *Kind) lock() (unlock func(), err error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("cloakroom-test-%s-%d.lock", k.Name, os.Getuid()))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// reap leaves a process behind that removes the container when its owner, the `go test` above, has gone.
func reap(owner int, name string) error {
	script := `while kill -0 "$1" 2>/dev/null; do sleep 2; done; docker rm -f -v "$2"`
	cmd := exec.Command("sh", "-c", script, "reap", strconv.Itoa(owner), name) //nolint:gosec // both are this package's own
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the reaper: %w", err)
	}
	return cmd.Process.Release()
}

// Start runs a server for one test; it goes when the test ends.
func (k *Kind) Start(t testing.TB, options ...string) *Server {
	t.Helper()
	k.Need(t)
	s, err := k.start("", options...)
	if err != nil {
		t.Fatalf("start a %s: %v", k.Title, err)
	}
	t.Cleanup(func() {
		if err := s.docker.Purge(s.resource); err != nil {
			t.Logf("remove the %s: %v", k.Title, err)
		}
	})
	return s
}

func (k *Kind) start(name string, options ...string) (*Server, error) {
	pool, err := connect()
	if err != nil {
		return nil, err
	}
	hostPort, err := freePort()
	if err != nil {
		return nil, err
	}
	repository, tag := k.image(pool)
	resource, err := pool.RunWithOptions(&dockertest.RunOptions{
		Name: name, Repository: repository, Tag: tag, Env: k.Env, Entrypoint: k.Entry, Cmd: options,
		ExposedPorts: []string{string(k.Port)},
		PortBindings: map[docker.Port][]docker.PortBinding{k.Port: {{HostIP: "127.0.0.1", HostPort: hostPort}}},
		Labels:       map[string]string{"dev.cloakroom.test": k.Name},
	}, func(host *docker.HostConfig) {
		host.Tmpfs = map[string]string{}
		for _, folder := range k.Tmpfs {
			host.Tmpfs[folder] = ""
		}
	})
	if err != nil {
		return nil, err
	}
	s := &Server{Address: net.JoinHostPort("127.0.0.1", hostPort), kind: k, docker: pool, resource: resource}
	if err := s.await(); err != nil {
		return nil, errors.Join(err, pool.Purge(resource))
	}
	return s, nil
}

func (k *Kind) image(pool *dockertest.Pool) (repository, tag string) {
	name := os.Getenv(k.ImageEnv)
	if name == "" {
		name = k.Official
		if _, err := pool.Client.InspectImage(k.Local); err == nil {
			name = k.Local
		}
	}
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		return name[:i], name[i+1:]
	}
	return name, "latest"
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, p, err := net.SplitHostPort(l.Addr().String())
	return p, err
}

// IP is the container's own address, which this machine reaches where docker runs on it.
func (s *Server) IP() string { return s.resource.Container.NetworkSettings.IPAddress }

func (s *Server) await() error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := s.kind.Ready(s.Address)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// Kill ends the server at once, as a crash does.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.must(t, "kill", s.end(docker.SIGKILL))
}

// Stop tells the server to end in order, by the signal of its kind, and returns when it has.
func (s *Server) Stop(t testing.TB, signal docker.Signal) {
	t.Helper()
	s.must(t, "stop", s.end(signal))
}

// end returns when the container has gone down of a signal: a start before that would start nothing.
func (s *Server) end(signal docker.Signal) error {
	err := s.docker.Client.KillContainer(docker.KillContainerOptions{ID: s.resource.Container.ID, Signal: signal})
	if err == nil {
		_, err = s.docker.Client.WaitContainer(s.resource.Container.ID)
	}
	return err
}

// Run starts the server again after Kill or Stop and returns when it answers.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	err := s.docker.Client.StartContainer(s.resource.Container.ID, nil)
	if err == nil {
		err = s.await()
	}
	s.must(t, "start", err)
}

// Pause freezes the server: connections stay and nothing answers.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	s.must(t, "pause", s.docker.Client.PauseContainer(s.resource.Container.ID))
}

// Resume ends a Pause.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	s.must(t, "resume", s.docker.Client.UnpauseContainer(s.resource.Container.ID))
}

func (s *Server) must(t testing.TB, do string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s the %s: %v", do, s.kind.Title, err)
	}
}
