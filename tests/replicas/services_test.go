package replicas

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"github.com/ory/dockertest/v3/docker"

	"cloakroom.dev/tests/harness"
)

const (
	password  = "test"
	accessKey = "replicas"
	secretKey = "replicas-secret"
	bucket    = "cloakroom"

	cap5  = 5        // sessions of a person, and failed passwords
	quota = 32 << 20 // bytes of a person
)

// startStores starts what the replicas share and waits until it answers.
func (c *cluster) startStores(t *testing.T) {
	t.Helper()
	c.run(t, "postgres", c.image("CLOAKROOM_TEST_POSTGRES_IMAGE", "cloakroom-test/postgres:15", "postgres:17"),
		[]string{"postgres", "-c", "max_connections=200"}, []string{"POSTGRES_PASSWORD=" + password, "POSTGRES_DB=cloakroom"}, nil)
	c.must(t, "make a folder for the bucket", os.MkdirAll(c.path("bucket"), 0o777))
	c.run(t, "bucket", c.image("CLOAKROOM_TEST_S3_IMAGE", "cloakroom-test/versitygw:1", "versity/versitygw:latest"),
		[]string{"posix", "/data"}, []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey}, []string{c.path("bucket") + ":/data"})
	c.run(t, "redis", c.image("CLOAKROOM_TEST_REDIS_IMAGE", "cloakroom-test/redis:7", "redis:7"), []string{"--save", "", "--appendonly", "no"}, nil, nil)
	wait(t, time.Minute, "PostgreSQL", func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, c.dsn(c.parts["postgres"].address+":5432"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + c.parts["bucket"].address + ":7070"), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	wait(t, time.Minute, "the bucket", func(ctx context.Context) error {
		_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
		return err
	})
}

func (c *cluster) dsn(address string) string {
	return "postgres://postgres:" + password + "@" + address + "/cloakroom?sslmode=disable"
}

// wait tries until it works.
func wait(t testing.TB, patience time.Duration, what string, try func(ctx context.Context) error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		err := try(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s after %v: %v", what, patience, err)
		}
	}
}

// ends are the near ends of one part's lines.
type ends map[string]string

// draw makes the lines: each part has its own to each other one it talks to.
func (c *cluster) draw(t *testing.T) {
	t.Helper()
	for _, name := range auths {
		c.configure(t, name, authBoot, ends{"postgres": c.line(t, name, "postgres", "5432")})
	}
	for _, name := range filesSvc {
		c.configure(t, name, filesBoot, ends{
			"postgres": c.line(t, name, "postgres", "5432"), "bucket": c.line(t, name, "bucket", "7070"),
			"internal-1": c.line(t, name, "auth-1", "8082"), "internal-2": c.line(t, name, "auth-2", "8082"),
		})
	}
	for _, name := range gateways {
		c.configure(t, name, gatewayBoot, ends{
			"redis":  c.line(t, name, "redis", "6379"),
			"auth-1": c.line(t, name, "auth-1", "8081"), "internal-1": c.line(t, name, "auth-1", "8082"),
			"auth-2": c.line(t, name, "auth-2", "8081"), "internal-2": c.line(t, name, "auth-2", "8082"),
			"files-1": c.line(t, name, "files-1", "8083"), "files-2": c.line(t, name, "files-2", "8083"),
		})
	}
}

func (c *cluster) line(t *testing.T, from, to, port string) string {
	t.Helper()
	return c.lines.add(t, from, to, net.JoinHostPort(c.addressOf(to), port))
}

// configure writes a part's folder of resources, with the ends of its lines in the boot object.
func (c *cluster) configure(t *testing.T, name, boot string, at ends) {
	t.Helper()
	live := harness.LiveObjects(t)
	for _, edit := range []func(string) string{
		harness.Replace(t, "  maxSessions: 50\n", fmt.Sprintf("  maxSessions: %d\n", cap5)),
		harness.Replace(t, "    maxFailures: 10\n", fmt.Sprintf("    maxFailures: %d\n", cap5)),
		harness.Replace(t, "    maxFailuresPerAddress: 100\n", "    maxFailuresPerAddress: 100000\n"),
		harness.Replace(t, "    limit: 3000\n    window: 1m\n    burst: 1000\n", "    limit: 60000\n    window: 1m\n    burst: 10000\n"),
		harness.Replace(t, "  quota: 10Gi\n", fmt.Sprintf("  quota: %q\n", fmt.Sprint(quota))),
		harness.Replace(t, "  maxObjectBytes: 5Gi\n", "  maxObjectBytes: 32Mi\n"),
		// The limit that all three gateways keep together.
		harness.Replace(t, "    limit: 6000\n    window: 1m\n    burst: 1000\n", fmt.Sprintf("    limit: %d\n    window: 1m\n    burst: %d\n", linksPerMinute, linksAtOnce)),
	} {
		live = edit(live)
	}
	var pairs []string
	for end, address := range at {
		pairs = append(pairs, "<"+end+">", address)
	}
	dir := c.path(name)
	c.must(t, "make a folder", os.MkdirAll(dir, 0o755))
	for file, text := range map[string]string{"boot.yaml": strings.NewReplacer(pairs...).Replace(boot), "live.yaml": live} {
		c.must(t, "write "+file, os.WriteFile(dir+"/"+file, []byte(text), 0o644))
	}
	if address, ok := at["postgres"]; ok {
		c.must(t, "write the DSN", os.WriteFile(dir+"/dsn", []byte(c.dsn(address)), 0o644))
	}
}

// startServices starts them all at once: whoever is first brings the schema up to date.
func (c *cluster) startServices(t *testing.T) {
	t.Helper()
	data := c.path("data") // where the first administrator's credentials are left
	c.must(t, "make a folder", os.MkdirAll(data, 0o700))
	c.must(t, "open it", os.Chmod(data, 0o777))
	key := "KEY=" + strings.Repeat("6b", 32)
	for program, names := range map[string][]string{"auth-svc": auths, "files-svc": filesSvc, "gateway": gateways} {
		ops := map[string]string{"auth-svc": "9091", "files-svc": "9092", "gateway": "9090"}[program]
		for _, name := range names {
			binds := []string{c.path(name) + ":/etc/cloakroom:ro"}
			if program == "auth-svc" {
				binds = append(binds, data+":/data")
			}
			p := c.run(t, name, "cloakroom/"+program+":"+c.id, nil, []string{key, "ACCESS=" + accessKey, "SECRET=" + secretKey}, binds)
			p.ready = "http://" + net.JoinHostPort(p.address, ops) + "/readyz"
		}
	}
	for _, name := range services() {
		c.awaitReady(t, name)
	}
}

func services() []string {
	return append(append(append([]string{}, auths...), filesSvc...), gateways...)
}

// awaitReady returns when a service says that it is ready.
func (c *cluster) awaitReady(t testing.TB, name string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for ; time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if answers(c.parts[name].ready) {
			return
		}
	}
	t.Fatalf("%s is not ready after a minute; it printed:\n%s", name, c.logs(name, 40))
}

// kill ends a part at once. What still wants to reach it is refused, as by a machine whose process has gone.
func (c *cluster) kill(t testing.TB, name string) (start func()) {
	t.Helper()
	p := c.parts[name]
	mend := cut(t, c.lines.of("", name))
	err := c.pool.Client.KillContainer(docker.KillContainerOptions{ID: p.id, Signal: docker.SIGKILL})
	if err == nil {
		_, err = c.pool.Client.WaitContainer(p.id)
	}
	c.must(t, "kill "+name, err)
	return func() {
		c.must(t, "start "+name, c.pool.Client.StartContainer(p.id, nil))
		mend()
	}
}

// pause freezes a part: its connections stay, and nothing answers.
func (c *cluster) pause(t testing.TB, name string) (resume func()) {
	t.Helper()
	c.must(t, "pause "+name, c.pool.Client.PauseContainer(c.parts[name].id))
	return func() { c.must(t, "resume "+name, c.pool.Client.UnpauseContainer(c.parts[name].id)) }
}

// restart stops a part in order and starts it again, ready. It returns how the part ended.
func (c *cluster) restart(t testing.TB, name string) (code int) {
	t.Helper()
	p := c.parts[name]
	c.must(t, "stop "+name, c.pool.Client.KillContainer(docker.KillContainerOptions{ID: p.id, Signal: docker.SIGTERM}))
	late := time.AfterFunc(30*time.Second, func() { // longer than the drain of any: it shows in the exit code
		_ = c.pool.Client.KillContainer(docker.KillContainerOptions{ID: p.id, Signal: docker.SIGKILL})
	})
	code, err := c.pool.Client.WaitContainer(p.id)
	late.Stop()
	c.must(t, "stop "+name, err)
	c.must(t, "start "+name, c.pool.Client.StartContainer(p.id, nil))
	c.awaitReady(t, name)
	return code
}

const authBoot = `
apiVersion: cloakroom.dev/v1alpha1
kind: AuthConfig
metadata: {name: auth}
spec:
  listeners: {public: {address: ":8081"}, internal: {address: ":8082"}, ops: {address: ":9091"}}
  store: {postgres: {dsn: {file: /etc/cloakroom/dsn}}}
  keyEncryption: {env: KEY}
  bootstrap: {file: bootstrap.json}
  drain: {delay: 1s, timeout: 10s}
`

const filesBoot = `
apiVersion: cloakroom.dev/v1alpha1
kind: FilesConfig
metadata: {name: files}
spec:
  listeners: {public: {address: ":8083"}, ops: {address: ":9092"}}
  store: {postgres: {dsn: {file: /etc/cloakroom/dsn}}}
  blobs: {s3: {endpoint: "http://<bucket>", bucket: cloakroom, accessKey: {env: ACCESS}, secretKey: {env: SECRET}}}
  verifier: {internalURLs: ["http://<internal-1>", "http://<internal-2>"]}
  drain: {delay: 1s, timeout: 10s}
`

const gatewayBoot = `
apiVersion: cloakroom.dev/v1alpha1
kind: GatewayConfig
metadata: {name: gateway}
spec:
  listeners: {public: {address: ":8080"}, ops: {address: ":9090"}}
  upstreams:
    auth:
      urls: ["http://<auth-1>", "http://<auth-2>"]
      internalURLs: ["http://<internal-1>", "http://<internal-2>"]
      health: {interval: 250ms}
    files:
      urls: ["http://<files-1>", "http://<files-2>"]
      health: {interval: 250ms}
  trustedProxies: {none: {}}
  limits: {store: {redis: {addresses: ["<redis>"], timeout: 200ms}}}
  drain: {delay: 1s, timeout: 10s}
`
