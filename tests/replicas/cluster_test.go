// Package replicas proves what several replicas promise: three gateways, two auth and two files services on one PostgreSQL, one
// bucket and one Redis, each in a container, each line between two of them through a proxy that can be cut, and clients that
// go to another gateway with every request. Parts are killed, frozen, cut off and restarted under that load.
//
// It needs docker on Linux. Without it the tests are skipped, loudly; where CI=true they fail. REPLICAS_WRITE=1 writes what was
// seen to docs/guides/faults.md.
package replicas

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"

	"cloakroom.dev/tests/harness"
)

// The parts, by name.
var (
	auths    = []string{"auth-1", "auth-2"}
	filesSvc = []string{"files-1", "files-2"}
	gateways = []string{"gateway-1", "gateway-2", "gateway-3"}
	stores   = []string{"postgres", "bucket", "redis"}
)

// cluster is everything that runs.
type cluster struct {
	id      string
	dir     string
	pool    *dockertest.Pool
	network *docker.Network
	subnet  string // its first three bytes
	parts   map[string]*part
	lines   *lines
	front   *front
}

// part is a container.
type part struct {
	id, address string
	ready       string // what answers 200 when it is ready; empty for stores
}

var the struct {
	sync.Mutex
	cluster *cluster
	failed  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if the.cluster != nil {
		the.cluster.remove()
	}
	os.Exit(code)
}

// up returns the running cluster; the first caller starts it.
func up(t *testing.T) *cluster {
	t.Helper()
	pool, err := dockertest.NewPool("")
	if err == nil {
		err = pool.Client.Ping()
	}
	if err == nil && runtime.GOOS != "linux" {
		err = errors.New("containers are reached by their own addresses, which only Linux can")
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("docker is needed for replicas: %v", err)
	}
	if err != nil {
		t.Skipf("*** NOT RUN for want of docker: replicas and their faults (%v) ***", err)
	}
	the.Lock()
	defer the.Unlock()
	if the.failed != nil {
		t.Fatalf("the cluster did not come up: %v", the.failed)
	}
	if the.cluster == nil {
		the.failed = errors.New("its start was given up")
		the.cluster = &cluster{id: fmt.Sprintf("cloakroom-replicas-%d", os.Getpid()), pool: pool, parts: map[string]*part{}}
		began := time.Now()
		the.cluster.start(t)
		the.failed = nil
		t.Logf("the cluster is up after %v", time.Since(began).Round(time.Millisecond))
	}
	return the.cluster
}

func (c *cluster) must(t testing.TB, do string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", do, err)
	}
}

func (c *cluster) start(t *testing.T) {
	t.Helper()
	var err error
	c.dir, err = os.MkdirTemp("", "cloakroom-replicas-")
	c.must(t, "make a folder", err)
	c.must(t, "open the folder to containers, which run as somebody else", os.Chmod(c.dir, 0o755))
	c.must(t, "leave a reaper", c.reap())
	c.makeImages(t)
	c.makeNetwork(t)
	c.lines = newLines(c.subnet + ".1")
	c.startStores(t)
	c.draw(t)
	c.startServices(t)
	c.front = newFront(c)
}

// makeImages makes the images that are shipped, under a tag of this process's own.
func (c *cluster) makeImages(t *testing.T) {
	t.Helper()
	cmd := exec.Command("go", "run", "cloakroom.dev/stack/images", "make", "-load", "-tag", c.id, "-out", c.dir, "auth-svc", "files-svc", "gateway")
	cmd.Dir = harness.Root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make the images: %v\n%s", err, out)
	}
}

// makeNetwork takes a private network that nobody has.
func (c *cluster) makeNetwork(t *testing.T) {
	t.Helper()
	var err error
	for range 20 {
		c.subnet = fmt.Sprintf("10.%d.%d", 64+rand.IntN(128), rand.IntN(256))
		c.network, err = c.pool.Client.CreateNetwork(docker.CreateNetworkOptions{
			Name: c.id, Driver: "bridge", Labels: c.labels(),
			IPAM: &docker.IPAMOptions{Config: []docker.IPAMConfig{{Subnet: c.subnet + ".0/24", Gateway: c.subnet + ".1"}}},
		})
		if err == nil {
			return
		}
	}
	t.Fatalf("make a network: %v", err)
}

func (c *cluster) labels() map[string]string { return map[string]string{"dev.cloakroom.test": c.id} }

// run starts a container under an address that stays its own over restarts.
func (c *cluster) run(t *testing.T, name, image string, command, env, binds []string) *part {
	t.Helper()
	p := &part{address: c.addressOf(name)}
	made, err := c.pool.Client.CreateContainer(docker.CreateContainerOptions{
		Name:             c.id + "-" + name,
		Config:           &docker.Config{Image: image, Cmd: command, Env: env, Labels: c.labels(), Hostname: name},
		HostConfig:       &docker.HostConfig{Binds: binds, NetworkMode: c.id},
		NetworkingConfig: &docker.NetworkingConfig{EndpointsConfig: map[string]*docker.EndpointConfig{c.id: {IPAMConfig: &docker.EndpointIPAMConfig{IPv4Address: p.address}}}},
	})
	c.must(t, "make "+name, err)
	p.id = made.ID
	c.parts[name] = p
	c.must(t, "start "+name, c.pool.Client.StartContainer(p.id, nil))
	return p
}

// addressOf gives each part a fixed address in the network.
func (c *cluster) addressOf(name string) string {
	for i, known := range append(append(append(append([]string{}, stores...), auths...), filesSvc...), gateways...) {
		if known == name {
			return c.subnet + "." + strconv.Itoa(10+i)
		}
	}
	panic("no part is called " + name)
}

// image is what a store runs on: named by the environment, made by tests/images, or official.
func (c *cluster) image(env, local, official string) string {
	if name := os.Getenv(env); name != "" {
		return name
	}
	if _, err := c.pool.Client.InspectImage(local); err == nil {
		return local
	}
	return official
}

// reap leaves a process behind that removes everything when this one is gone, however it went.
func (c *cluster) reap() error {
	script := `while kill -0 "$1" 2>/dev/null; do sleep 1; done
docker ps -aq --filter "label=dev.cloakroom.test=$2" | xargs -r docker rm -f -v
docker network rm "$2"
for i in auth-svc files-svc gateway; do docker rmi "cloakroom/$i:$2"; done; rm -rf "$3"`
	cmd := exec.Command("sh", "-c", script, "reap", strconv.Itoa(os.Getpid()), c.id, c.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// remove takes everything away again. The reaper does the same when this was not reached.
func (c *cluster) remove() {
	if c.front != nil {
		c.front.close()
	}
	for _, p := range c.parts {
		_ = c.pool.Client.RemoveContainer(docker.RemoveContainerOptions{ID: p.id, Force: true, RemoveVolumes: true})
	}
	if c.lines != nil {
		c.lines.close()
	}
	if c.network != nil {
		_ = c.pool.Client.RemoveNetwork(c.network.ID)
	}
	for _, name := range []string{"auth-svc", "files-svc", "gateway"} {
		_ = c.pool.Client.RemoveImage("cloakroom/" + name + ":" + c.id)
	}
	_ = os.RemoveAll(c.dir)
}

// logs are the last lines a part has printed.
func (c *cluster) logs(name string, lines int) string {
	var out strings.Builder
	err := c.pool.Client.Logs(docker.LogsOptions{Container: c.parts[name].id, OutputStream: &out, ErrorStream: &out, Stdout: true, Stderr: true, Tail: strconv.Itoa(lines)})
	return out.String() + fmt.Sprint(err)
}

func (c *cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}
