package redistest

import (
	_ "embed"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/internal/container"
)

// clusterScript starts the nodes and joins them.
//
//go:embed cluster.sh
var clusterScript string

const (
	clusterNodes = 6 // three primaries with a replica each
	firstPort    = 7001
)

var cluster = &container.Kind{
	Name: "redis-cluster", Title: "Redis Cluster", Port: "7001/tcp", Ready: clusterReady,
	ImageEnv: redis.ImageEnv, Local: redis.Local, Official: redis.Official, Entry: []string{"sh", "-c", clusterScript},
}

// Cluster is a Redis Cluster in one container, for one test.
type Cluster struct {
	*container.Server
}

// NewCluster starts six nodes: three primaries, each with a replica that takes over a second after its primary is gone. It goes when
// the test ends. The nodes tell clients the container's own address, so it needs docker on this very machine.
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{cluster.Start(t)}
	for _, node := range c.Nodes() {
		await(t, node)
	}
	return c
}

// await waits for one node: each judges by itself when the cluster is whole, and refuses its keys until then, up to a second after the
// first one has served its own. A minute is for a machine that does much else: a cluster that takes so long will not come.
func await(t testing.TB, node string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := clusterReady(node)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// Nodes are host:port of each node.
func (c *Cluster) Nodes() (nodes []string) {
	for i := range clusterNodes {
		nodes = append(nodes, net.JoinHostPort(c.IP(), strconv.Itoa(firstPort+i)))
	}
	return nodes
}

// clusterReady is when every primary knows its replica: until then a failover would find nobody.
func clusterReady(address string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("CLUSTER INFO\r\nCLUSTER NODES\r\nPING\r\n")); err != nil {
		return err
	}
	var answer strings.Builder
	for buf := make([]byte, 4<<10); !strings.HasSuffix(answer.String(), "+PONG\r\n"); {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		answer.Write(buf[:n])
	}
	if said := answer.String(); !strings.Contains(said, "cluster_state:ok") || strings.Count(said, "slave ") != clusterNodes/2 {
		return fmt.Errorf("the nodes are not joined yet: %q", said)
	}
	return nil
}
