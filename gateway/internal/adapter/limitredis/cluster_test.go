package limitredis

import (
	"context"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/routing/limitertest"
	"cloakroom.dev/libs/redistest"

	"github.com/redis/go-redis/v9"
)

// TestCluster_ServesAsOneServerDoes is one cluster for all of it: what a limiter is asked of it, and every way a node can fail.
func TestCluster_ServesAsOneServerDoes(t *testing.T) {
	cluster := redistest.NewCluster(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Nodes()})
	defer client.Close()
	t.Run("conforms", func(t *testing.T) {
		limitertest.Run(t, func(t testing.TB) limitertest.World {
			clock := limitertest.NewClock()
			s := real(t, Options{Addresses: cluster.Nodes(), Prefix: ownPrefix(t), Timeout: 5 * time.Second, Now: clock.Now})
			return limitertest.World{Limiter: s.Limiter, Sleep: clock.Sleep, Unit: time.Microsecond}
		})
	})
	t.Run("from one address", func(t *testing.T) {
		s := real(t, Options{Addresses: cluster.Nodes()[5:], Cluster: true, Prefix: ownPrefix(t), Timeout: 5 * time.Second})
		if passed := s.passes(t, 120); passed < 100 || passed > 101 {
			t.Errorf("%d passed, want 100", passed)
		}
		s.countedTogether(t)
	})
	t.Run("its keys move to another node", func(t *testing.T) {
		s := real(t, Options{Addresses: cluster.Nodes(), Prefix: ownPrefix(t), Timeout: 5 * time.Second})
		first := s.passes(t, 60)
		was := serving(t, client, s)
		if err := handOver(t, client, was); err != nil {
			t.Fatal(err)
		}
		if now := serving(t, client, s); now == was {
			t.Fatal("the keys did not move")
		}
		if passed := first + s.passes(t, 60); passed < 100 || passed > 101 {
			t.Errorf("%d passed, want 100: what was counted before must count", passed)
		}
		s.countedTogether(t)
	})
	for name, fault := range map[string]func(at string) (end func()){
		"frozen": func(string) func() { cluster.Pause(t); return func() { cluster.Resume(t) } },
		"slow":   func(at string) func() { return sleepy(t, at) },
		"its primary is gone": func(at string) func() {
			_ = nodeAt(t, at).Do(t.Context(), "SHUTDOWN", "NOSAVE", "NOW").Err() // the answer is the end of the connection
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := real(t, Options{Addresses: cluster.Nodes(), Prefix: ownPrefix(t), Timeout: 100 * time.Millisecond, Replicas: 4})
			limitertest.One(t, s.Limiter, hundred, limitertest.Client("192.0.2.9"))
			s.returns(t)
			end := fault(serving(t, client, s))
			during := s.asksFor(t, time.Second)
			lost := s.health.lost()
			end()
			s.returns(t)
			after := s.asksFor(t, 300*time.Millisecond)
			t.Logf("during %d of %d (longest %v), after %d of %d\n%s", during.passed.Load(), during.asked.Load(),
				time.Duration(during.longest.Load()), after.passed.Load(), after.asked.Load(), s.logs)
			if name != "its primary is gone" && !lost { // where the replica has already taken over it is there again
				t.Error("the store was not lost")
			}
			// A share of 25, and what passed before the loss was noticed and after it was back.
			if got := during.passed.Load() + after.passed.Load(); got < 25 || got > 227 {
				t.Errorf("%d passed, during and after", got)
			}
		})
	}
}

// countedTogether holds that the store decided everything.
func (s *scene) countedTogether(t *testing.T) {
	t.Helper()
	if n := value(t, s.reg, "cloakroom_gateway_limiter_share_decisions_total"); n != 0 {
		t.Errorf("%v requests were not decided by the store:\n%s", n, s.logs)
	}
}

// serving is the node that has a limiter's keys: all of them are in one slot.
func serving(t *testing.T, client *redis.ClusterClient, s *scene) string {
	t.Helper()
	key := s.Limiter.store.(*redisStore).prefix + "gateways"
	var at string
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		client.ReloadState(t.Context())
		node, err := client.MasterForKey(t.Context(), key)
		if err == nil {
			at = node.Options().Addr
			if role, err := nodeAt(t, at).Do(t.Context(), "ROLE").Slice(); err == nil && role[0] == "master" {
				return at
			}
		}
		if time.Now().After(end) {
			t.Fatalf("nobody serves the keys: %v", err)
		}
	}
}

func nodeAt(t *testing.T, address string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// handOver has a primary's replica take its place in order, and returns when it has.
func handOver(t *testing.T, client *redis.ClusterClient, primary string) error {
	nodes, err := client.ClusterNodes(t.Context()).Result()
	if err != nil {
		return err
	}
	var id, replica string
	for line := range strings.Lines(nodes) {
		if f := strings.Fields(line); strings.HasPrefix(f[1], primary+"@") {
			id = f[0]
		}
	}
	for line := range strings.Lines(nodes) {
		if f := strings.Fields(line); f[3] == id {
			replica, _, _ = strings.Cut(f[1], "@")
		}
	}
	to := nodeAt(t, replica)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if role, err := to.Do(t.Context(), "ROLE").Slice(); err == nil && role[0] == "master" {
			return nil
		}
		_ = to.ClusterFailover(t.Context()).Err() // refused until it has caught up
	}
	return context.DeadlineExceeded
}

// sleepy has a node stand still for 300 ms again and again.
func sleepy(t *testing.T, at string) (end func()) {
	t.Helper()
	node := nodeAt(t, at)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = node.Do(context.WithoutCancel(ctx), "DEBUG", "SLEEP", "0.3").Err()
		}
	}()
	return func() { stop(); <-done }
}
