package pgtest

import (
	"context"
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

	"github.com/jackc/pgx/v5"
	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"

	"cloakroom.dev/libs/secret"
)

const (
	port     = "5432/tcp"
	password = "test"

	localImage    = "cloakroom-test/postgres:15"
	officialImage = "postgres:17"
)

// server is a container with a PostgreSQL in it.
type server struct {
	docker   *dockertest.Pool
	resource *dockertest.Resource
	address  string
}

func (s *server) dsn(database string) secret.String {
	return secret.NewString("postgres://postgres:" + password + "@" + s.address + "/" + database + "?sslmode=disable")
}

// connect finds docker.
var connect = sync.OnceValues(func() (*dockertest.Pool, error) {
	pool, err := dockertest.NewPool("")
	if err != nil {
		return nil, err
	}
	pool.MaxWait = time.Minute
	return pool, pool.Client.Ping()
})

// need ends the test where there is no docker.
func need(t testing.TB) {
	t.Helper()
	_, err := connect()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("docker is needed for PostgreSQL: %v", err)
	default:
		t.Skipf("*** NOT RUN for want of docker: this test on PostgreSQL (%v) ***", err)
	}
}

var sharedServer = sync.OnceValues(findOrStart)

func shared(t testing.TB) *server {
	t.Helper()
	need(t)
	s, err := sharedServer()
	if err != nil {
		t.Fatalf("start a PostgreSQL: %v", err)
	}
	return s
}

// findOrStart finds the container that belongs to the `go test` above this process, or starts it. Data is kept only as
// long as the server runs: nothing waits for a disk.
func findOrStart() (*server, error) {
	unlock, err := lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	pool, err := connect()
	if err != nil {
		return nil, err
	}
	owner := os.Getppid()
	name := "cloakroom-pgtest-" + strconv.Itoa(owner)
	if found, ok := pool.ContainerByName("^/" + name + "$"); ok && found.Container.State.Running {
		s := &server{docker: pool, resource: found, address: found.GetHostPort(port)}
		return s, s.await()
	}
	_ = pool.RemoveContainerByName("^/" + name + "$") // one that has stopped, of a process long gone
	s, err := start(name, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=500")
	if err != nil {
		return nil, err
	}
	return s, reap(owner, name)
}

// lock lets one test binary at a time look for the container.
func lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("cloakroom-pgtest-%d.lock", os.Getuid())), os.O_CREATE|os.O_RDWR, 0o600)
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

// start runs a container on a port that stays its own over restarts.
func start(name string, options ...string) (*server, error) {
	pool, err := connect()
	if err != nil {
		return nil, err
	}
	hostPort, err := freePort()
	if err != nil {
		return nil, err
	}
	repository, tag := image(pool)
	resource, err := pool.RunWithOptions(&dockertest.RunOptions{
		Name: name, Repository: repository, Tag: tag,
		Env: []string{"POSTGRES_PASSWORD=" + password}, Cmd: append([]string{"postgres"}, options...),
		PortBindings: map[docker.Port][]docker.PortBinding{port: {{HostIP: "127.0.0.1", HostPort: hostPort}}},
		Labels:       map[string]string{"dev.cloakroom.test": "postgres"},
	})
	if err != nil {
		return nil, err
	}
	s := &server{docker: pool, resource: resource, address: net.JoinHostPort("127.0.0.1", hostPort)}
	if err := s.await(); err != nil {
		return nil, errors.Join(err, pool.Purge(resource))
	}
	return s, nil
}

func image(pool *dockertest.Pool) (repository, tag string) {
	name := os.Getenv("CLOAKROOM_TEST_POSTGRES_IMAGE")
	if name == "" {
		name = officialImage
		if _, err := pool.Client.InspectImage(localImage); err == nil {
			name = localImage
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

// await returns when the server takes connections.
func (s *server) await() error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		conn, err := pgx.Connect(ctx, s.dsn("postgres").Reveal())
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// signal returns when the container has gone down of it, so that a start after it starts. PostgreSQL stops in order at
// SIGINT; at docker's own SIGTERM it would wait for its clients.
func (s *server) signal(signal docker.Signal) error {
	if err := s.docker.Client.KillContainer(docker.KillContainerOptions{ID: s.resource.Container.ID, Signal: signal}); err != nil {
		return err
	}
	_, err := s.docker.Client.WaitContainer(s.resource.Container.ID)
	return err
}
