// Package redistest gives tests a Redis.
//
// New is the one that all test binaries of a `go test` share; it goes when that command ends, and each test keeps to a prefix
// or keys of its own. NewServer starts one for one test alone, to be killed, paused and started in the middle of things, and
// NewCluster a cluster of them.
//
// The image is CLOAKROOM_TEST_REDIS_IMAGE (a Valkey does as well), else the one that tests/images made, else the official
// one. Without docker a test that asks for a Redis is skipped; where CI=true it fails.
package redistest

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/libs/internal/container"
)

var redis = &container.Kind{
	Name: "redis", Title: "Redis", Port: "6379/tcp", Ready: ping,
	ImageEnv: "CLOAKROOM_TEST_REDIS_IMAGE", Local: "cloakroom-test/redis:7", Official: "redis:7",
}

// Nothing is written to a disk: what is in it goes with it.
var options = []string{"--save", "", "--appendonly", "no"}

var shared = sync.OnceValues(func() (*container.Server, error) { return redis.Shared(options...) })

// New returns host:port of the shared server.
func New(t testing.TB) (address string) {
	t.Helper()
	redis.Need(t)
	s, err := shared()
	if err != nil {
		t.Fatalf("start a Redis: %v", err)
	}
	return s.Address
}

// Server is a Redis for one test. After a Kill it comes back empty.
type Server struct {
	*container.Server
}

// NewServer starts one, with more options of redis-server. It goes when the test ends.
func NewServer(t testing.TB, more ...string) *Server {
	t.Helper()
	return &Server{redis.Start(t, append(options[:len(options):len(options)], more...)...)}
}

// ping takes any answer but that the server is still loading: it may want a password.
func ping(address string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.HasPrefix(line, "-LOADING") {
		err = fmt.Errorf("it is loading: %s", strings.TrimSpace(line))
	}
	return err
}
