package limitredis

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/adapter/limitmem"
	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/gateway/internal/routing/limitertest"
	"cloakroom.dev/libs/logtest"
	"cloakroom.dev/libs/redistest"
	"cloakroom.dev/libs/secret"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

var installations atomic.Int64

// ownPrefix is an installation of this test's own on the server that tests share.
func ownPrefix(t testing.TB) string {
	return fmt.Sprintf("test-%d-%d", time.Now().UnixNano(), installations.Add(1))
}

// real is a limiter of one gateway over a real store.
func real(t testing.TB, opts Options) *scene {
	t.Helper()
	s := &scene{reg: prometheus.NewRegistry(), logs: &logtest.Text{}}
	var err error
	s.Limiter, err = New(opts, limitmem.New(limitmem.Options{}, s.reg), slog.New(slog.NewTextHandler(s.logs, nil)), s.reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	s.end = sync.OnceFunc(func() { cancel(); running.Wait(); _ = s.Close() })
	t.Cleanup(s.end)
	return s
}

func TestLimiter_Conforms(t *testing.T) {
	address := redistest.New(t)
	limitertest.Run(t, func(t testing.TB) limitertest.World {
		clock := limitertest.NewClock()
		s := real(t, Options{Addresses: []string{address}, Prefix: ownPrefix(t), Timeout: 5 * time.Second, Now: clock.Now})
		return limitertest.World{Limiter: s.Limiter, Sleep: clock.Sleep, Unit: time.Microsecond}
	})
}

func TestGateways_AllowTogetherWhatOneWould(t *testing.T) {
	address, prefix := redistest.New(t), ownPrefix(t)
	var gateways []*scene
	for range 3 {
		gateways = append(gateways, real(t, Options{Addresses: []string{address}, Prefix: prefix, Timeout: time.Second}))
	}
	r := limitertest.Rule(50, 10*time.Second, 200)
	var sum asks
	began := time.Now()
	var clients sync.WaitGroup
	for i := range 24 {
		clients.Go(func() {
			for time.Since(began) < 2*time.Second {
				at := time.Now()
				v := limitertest.One(t, gateways[i%3].Limiter, r, alice)
				sum.note(time.Since(at), v.Allowed)
			}
		})
	}
	clients.Wait()
	took := time.Since(began)
	want := 200 + took.Seconds()*5
	if got := float64(sum.passed.Load()); got < want-2 || got > want+1 {
		t.Errorf("%v of %d requests passed in %v, one gateway would let %.1f", got, sum.asked.Load(), took, want)
	}
	for i, g := range gateways {
		if err := g.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := g.members.count(); n != 3 {
			t.Errorf("gateway %d counts %d", i, n)
		}
	}
	t.Logf("%d of %d passed at three gateways in %v, one would let %.1f", sum.passed.Load(), sum.asked.Load(), took, want)
}

// A stolen store, or somebody who may list its keys, learns nobody's token; and nothing in it stays for ever.
func TestKeys_AreHashesThatExpire(t *testing.T) {
	address, prefix := redistest.New(t), ownPrefix(t)
	s := real(t, Options{Addresses: []string{address}, Prefix: prefix, Timeout: time.Second})
	const token = "crk_a-secret-that-a-client-sends"
	byHeader := &routing.LimitRule{Policy: "p", Name: "h", By: routing.ByHeader, Limit: 10, Window: time.Minute, Burst: 10}
	limitertest.Take(t, s.Limiter, routing.Charge{Rule: byHeader, Key: limitertest.Header(token)}, routing.Charge{Rule: hundred, Key: alice})
	_ = s.beat(t.Context())
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	keys, err := client.Keys(t.Context(), "*"+prefix+"*").Result()
	if err != nil || len(keys) != 3 {
		t.Fatalf("%q, %v; want two counts and the list of gateways", keys, err)
	}
	for _, key := range keys {
		if strings.Contains(key, "crk_") || strings.Contains(key, "192.0.2") || !strings.HasPrefix(key, "{"+prefix+"}:") {
			t.Errorf("key %q", key)
		}
		if ttl := client.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("key %q lives for %v", key, ttl)
		}
	}
}

func TestTake_ANewServerIsGivenTheScript(t *testing.T) {
	server := redistest.NewServer(t)
	s := real(t, Options{Addresses: []string{server.Address}, Timeout: time.Second})
	client := redis.NewClient(&redis.Options{Addr: server.Address})
	defer client.Close()
	for range 3 {
		limitertest.One(t, s.Limiter, hundred, alice)
		client.ScriptFlush(t.Context())
	}
	if n := value(t, s.reg, "cloakroom_gateway_limiter_share_decisions_total"); n != 0 {
		t.Errorf("%v requests were not decided by the store", n)
	}
}

func TestConnect_WithAPasswordThatChanges(t *testing.T) {
	server := redistest.NewServer(t, "--requirepass", "first")
	var password atomic.Value
	password.Store("wrong")
	s := real(t, Options{
		Addresses: []string{server.Address}, Timeout: 100 * time.Millisecond,
		Credentials: func() (string, secret.String, error) { return "", secret.NewString(password.Load().(string)), nil },
	})
	if got := s.asksFor(t, time.Second); got.passed.Load() > 50 {
		t.Errorf("%d passed with a wrong password, the share is 50", got.passed.Load())
	}
	if strings.Contains(s.logs.String(), "first") {
		t.Errorf("the password is in the log: %s", s.logs)
	}
	password.Store("first")
	s.returns(t)
}

// What docs/guides/configure.md says a user of the server must be allowed, and no more.
func TestConnect_AsAUserWhoMayDoOnlyWhatTheGuideSays(t *testing.T) {
	guide, err := os.ReadFile("../../../../docs/guides/configure.md")
	if err != nil {
		t.Fatal(err)
	}
	allowed := regexp.MustCompile("A user of the server needs `([^`]+)` on").FindSubmatch(guide)
	if allowed == nil {
		t.Fatal("the guide does not say what a user needs")
	}
	user := append([]string{"--user", "default", "off", "--user", "gateway", "on", ">pass", "~{cloakroom}:*"}, strings.Fields(string(allowed[1]))...)
	server := redistest.NewServer(t, user...)
	s := real(t, Options{
		Addresses: []string{server.Address}, Timeout: time.Second,
		Credentials: func() (string, secret.String, error) { return "gateway", secret.NewString("pass"), nil },
	})
	limitertest.One(t, s.Limiter, hundred, alice)
	if err := s.beat(t.Context()); err != nil {
		t.Error(err)
	}
	if n := value(t, s.reg, "cloakroom_gateway_limiter_share_decisions_total"); n != 0 {
		t.Errorf("%v requests were not decided by the store:\n%s", n, s.logs)
	}
	if err := s.store.leave(t.Context()); err != nil {
		t.Error(err)
	}
}

// asksFor sends requests of many clients with one key for a while, and holds each to the timeout and what a busy machine adds,
// which is less than the three seconds that a client of Redis waits by itself.
func (s *scene) asksFor(t *testing.T, d time.Duration) *asks {
	t.Helper()
	var sum asks
	var clients sync.WaitGroup
	for end, i := time.Now().Add(d), 0; i < 16; i++ {
		clients.Go(func() {
			for time.Now().Before(end) {
				at := time.Now()
				v := limitertest.One(t, s.Limiter, hundred, alice)
				sum.note(time.Since(at), v.Allowed)
				time.Sleep(time.Millisecond)
			}
		})
	}
	clients.Wait()
	if longest := time.Duration(sum.longest.Load()); longest > s.timeout+2*time.Second {
		t.Errorf("a request waited %v", longest)
	}
	return &sum
}

// returns waits until the store is relied on again.
func (s *scene) returns(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); s.health.lost(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the store is not back:\n%s", s.logs)
		}
	}
}

// TestStore_LostSlowAndBackUnderLoad breaks the store in each way there is while sixteen clients ask without pause.
func TestStore_LostSlowAndBackUnderLoad(t *testing.T) {
	server := redistest.NewServer(t)
	proxy := startProxy(t, server.Address)
	toxic := func(kind string, attributes string) (begin, end func()) {
		return func() {
				text := fmt.Sprintf(`{"name":"x","type":%q,"stream":"downstream","toxicity":1,"attributes":%s}`, kind, attributes)
				if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
					t.Fatal(err)
				}
			}, func() {
				if err := proxy.Toxics.RemoveToxic(context.Background(), "x"); err != nil {
					t.Fatal(err)
				}
			}
	}
	slow, fast := toxic("latency", `{"latency":2500}`)
	cut, joined := toxic("reset_peer", `{"timeout":0}`)
	silent, heard := toxic("timeout", `{"timeout":0}`)
	for _, fault := range []struct {
		name       string
		begin, end func()
	}{
		{"killed", func() { server.Kill(t) }, func() { server.Run(t) }},
		{"paused", func() { server.Pause(t) }, func() { server.Resume(t) }},
		{"slow", slow, fast},
		{"connections reset", cut, joined},
		{"partition", silent, heard},
	} {
		t.Run(fault.name, func(t *testing.T) {
			s, before := undisturbed(t, proxy.Listen)
			fault.begin()
			during := s.asksFor(t, 2*time.Second)
			lost := s.health.lost()
			fault.end()
			s.returns(t)
			after := s.asksFor(t, 300*time.Millisecond)
			shared := value(t, s.reg, "cloakroom_gateway_limiter_share_decisions_total")
			t.Logf("before %d of %d, during %d of %d (longest %v), after %d of %d; %v decided by share\n%s",
				before.passed.Load(), before.asked.Load(), during.passed.Load(), during.asked.Load(), time.Duration(during.longest.Load()),
				after.passed.Load(), after.asked.Load(), shared, s.logs)
			if !lost {
				t.Error("the store was not lost")
			}
			if got := before.passed.Load(); got < 100 || got > 101 {
				t.Errorf("before: %d passed, want 100", got)
			}
			if got := during.passed.Load(); got < 25 || got > 27 {
				t.Errorf("during: %d passed, the share is 25", got)
			}
			if got := after.passed.Load(); got > 101 {
				t.Errorf("after: %d passed, want no more than 100", got)
			}
		})
	}
}

// undisturbed is a limiter that has been asked and has had its store all the time: on a busy machine even a well one is late
// now and then, though it has eighty times what is usual, and what is given by share then is another test's.
func undisturbed(t *testing.T, address string) (*scene, *asks) {
	t.Helper()
	for range 10 {
		s := real(t, Options{Addresses: []string{address}, Prefix: ownPrefix(t), Timeout: 800 * time.Millisecond, Replicas: 4})
		sum := s.asksFor(t, 300*time.Millisecond)
		if value(t, s.reg, "cloakroom_gateway_limiter_share_decisions_total") == 0 {
			return s, sum
		}
		s.end()
	}
	t.Fatal("the store was late ten times in a row")
	return nil, nil
}

func startProxy(t *testing.T, upstream string) *toxiproxy.Proxy {
	t.Helper()
	_ = toxics.New // the package registers its kinds
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "redis", "127.0.0.1:0", upstream)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return proxy
}
