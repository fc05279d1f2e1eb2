package s3test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
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

const (
	port = "7070/tcp"

	localImage    = "cloakroom-test/versitygw:1"
	officialImage = "versity/versitygw:latest"
)

// server is a container with a store in it.
type server struct{ address string }

// connect finds docker.
var connect = sync.OnceValues(func() (*dockertest.Pool, error) {
	pool, err := dockertest.NewPool("")
	if err != nil {
		return nil, err
	}
	pool.MaxWait = time.Minute
	return pool, pool.Client.Ping()
})

var sharedServer = sync.OnceValues(findOrStart)

func shared(t testing.TB) *server {
	t.Helper()
	_, err := connect()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("docker is needed for an S3-compatible store: %v", err)
	default:
		t.Skipf("*** NOT RUN for want of docker: this test on an S3-compatible store (%v) ***", err)
	}
	s, err := sharedServer()
	if err != nil {
		t.Fatalf("start an S3-compatible store: %v", err)
	}
	return s
}

// findOrStart finds the container that belongs to the `go test` above this process, or starts it.
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
	name := "cloakroom-s3test-" + strconv.Itoa(owner)
	if found, ok := pool.ContainerByName("^/" + name + "$"); ok && found.Container.State.Running {
		s := &server{address: net.JoinHostPort("127.0.0.1", found.GetPort(port))}
		return s, s.await()
	}
	_ = pool.RemoveContainerByName("^/" + name + "$") // one that has stopped, of a process long gone
	repository, tag := image(pool)
	resource, err := pool.RunWithOptions(&dockertest.RunOptions{
		Name: name, Repository: repository, Tag: tag, Cmd: []string{"posix", "/data"}, ExposedPorts: []string{port},
		Env:          []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey},
		PortBindings: map[docker.Port][]docker.PortBinding{port: {{HostIP: "127.0.0.1"}}},
		Labels:       map[string]string{"dev.cloakroom.test": "s3"},
	}, func(host *docker.HostConfig) { host.Tmpfs = map[string]string{"/data": ""} })
	if err != nil {
		return nil, err
	}
	s := &server{address: net.JoinHostPort("127.0.0.1", resource.GetPort(port))}
	if err := s.await(); err != nil {
		return nil, errors.Join(err, pool.Purge(resource))
	}
	return s, reap(owner, name)
}

// lock lets one test binary at a time look for the container.
func lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("cloakroom-s3test-%d.lock", os.Getuid())), os.O_CREATE|os.O_RDWR, 0o600)
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

func image(pool *dockertest.Pool) (repository, tag string) {
	name := os.Getenv("CLOAKROOM_TEST_S3_IMAGE")
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

// await returns when the store answers requests, be it with a refusal.
func (s *server) await() (err error) {
	client := http.Client{Timeout: 2 * time.Second}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var resp *http.Response
		if resp, err = client.Get("http://" + s.address + "/"); err == nil {
			return resp.Body.Close()
		}
	}
	return err
}
