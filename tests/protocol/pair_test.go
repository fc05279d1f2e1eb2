package protocol

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"cloakroom.dev/libs/pgtest"

	"cloakroom.dev/tests/harness"
)

// pairStaleness is maxStaleness of the pair's gateways: the least there can be.
const pairStaleness = 2 * time.Second

// pair is two auth services on one PostgreSQL behind two gateways that each use both, all of them processes.
type pair struct {
	t        testing.TB
	dir      string
	server   *pgtest.Server
	line     *toxiproxy.Proxy // from the second auth service to PostgreSQL
	auths    [2]*program
	gateways [2]*program
	files    *program // for the contract, which is of both services
	faults   int      // inflicted
}

// program is a process that is killed and started again.
type program struct {
	t           testing.TB
	pkg         string
	dir, config string
	base, ready string
	cmd         *exec.Cmd
	out         *os.File
}

func (p *program) start() {
	p.t.Helper()
	p.cmd = exec.Command(harness.Build(p.t, p.pkg), "serve", "--config", p.config)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // says that it was killed
	p.cmd = nil
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// newPair starts one. The edits are for the resources.
func newPair(t *testing.T, edits ...func(string) string) *pair {
	t.Helper()
	p := &pair{t: t, dir: t.TempDir(), server: pgtest.NewServer(t)}
	proxies := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	address := strings.TrimPrefix(p.server.DSN().Reveal(), "postgres://")
	_, address, _ = strings.Cut(address, "@")
	address, _, _ = strings.Cut(address, "/")
	p.line = toxiproxy.NewProxy(proxies, "second", "127.0.0.1:0", address)
	if err := p.line.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.line.Stop)
	live := harness.LiveObjects(t)
	for _, edit := range append(edits, harness.Replace(t, "    maxStaleness: 5s\n", "    maxStaleness: "+pairStaleness.String()+"\n")) {
		live = edit(live)
	}
	a := harness.FreeAddrs(t, 12)
	key := filepath.Join(p.dir, "key")
	p.write("key", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))+"\n")
	p.write("dsn-0", p.server.DSN().Reveal())
	p.write("dsn-1", strings.Replace(p.server.DSN().Reveal(), address, p.line.Listen, 1))
	for i := range p.auths {
		boot := harness.AuthBoot(a[3*i], a[3*i+1], a[3*i+2], filepath.Join(p.dir, fmt.Sprint("dsn-", i)), key,
			fmt.Sprintf("  bootstrap: {file: %q}\n", filepath.Join(p.dir, "bootstrap.json")))
		p.auths[i] = p.program("cloakroom.dev/auth-svc/cmd/auth-svc", fmt.Sprint("auth-", i), boot, live, a[3*i], a[3*i])
	}
	auths, internals := []string{a[0], a[3]}, []string{a[1], a[4]}
	for i := range p.gateways {
		boot := harness.GatewayBoot(a[6+2*i], a[7+2*i], auths, internals, a[10], ", health: {interval: 250ms}")
		p.gateways[i] = p.program("cloakroom.dev/gateway/cmd/gateway", fmt.Sprint("gateway-", i), boot, live, a[6+2*i], a[6+2*i])
	}
	p.files = p.program("cloakroom.dev/files-svc/cmd/files-svc", "files", harness.FilesBoot(a[10], a[11], internals...), live, a[10], a[10])
	t.Cleanup(p.remove)
	p.Run()
	p.files.start()
	for _, g := range p.gateways {
		g.start()
	}
	harness.WaitReady(t, p.files.base)
	for _, g := range p.gateways {
		harness.WaitReady(t, g.base)
	}
	return p
}

func (p *pair) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) program(pkg, name, boot, live, at, ready string) *program {
	p.t.Helper()
	p.write(name+"/boot.yaml", boot)
	p.write(name+"/live.yaml", live)
	out, err := os.Create(filepath.Join(p.dir, name+".log"))
	if err != nil {
		p.t.Fatal(err)
	}
	return &program{t: p.t, pkg: pkg, dir: p.dir, config: filepath.Join(p.dir, name), base: "http://" + at, ready: "http://" + ready, out: out}
}

func (p *pair) remove() {
	for _, one := range []*program{p.auths[0], p.auths[1], p.gateways[0], p.gateways[1], p.files} {
		one.kill()
		_ = one.out.Close()
		if p.t.Failed() {
			raw, _ := os.ReadFile(one.out.Name())
			p.t.Logf("%s printed:\n%s", filepath.Base(one.out.Name()), raw[max(0, len(raw)-4<<10):])
		}
	}
}

// Run starts both auth services and waits until they are ready.
func (p *pair) Run() {
	p.t.Helper()
	for _, a := range p.auths {
		a.start()
	}
	for _, a := range p.auths {
		harness.WaitReady(p.t, a.ready)
	}
}

// Kill ends both auth services at once: nothing they were doing happens after it, but what the database has been told to commit.
func (p *pair) Kill() {
	for _, a := range p.auths {
		a.kill()
	}
}

func (p *pair) Bases() (bases []string) {
	for _, g := range p.gateways {
		bases = append(bases, g.base)
	}
	return bases
}

func (p *pair) Bootstrap() (b harness.Bootstrap) {
	p.t.Helper()
	readJSON(p.t, filepath.Join(p.dir, "bootstrap.json"), &b)
	return b
}

// pairFaults is how many kinds of faults there are.
const pairFaults = 4

// Disturb inflicts the next fault on one of the two, or on what they share, and heals it.
func (p *pair) Disturb() string {
	p.t.Helper()
	fault := p.faults % pairFaults
	one := p.auths[p.faults/pairFaults%2]
	p.faults++
	switch fault {
	case 0:
		one.kill()
		time.Sleep(300 * time.Millisecond)
		one.start()
		return "one killed and started"
	case 1:
		one.signal(syscall.SIGSTOP)
		time.Sleep(700 * time.Millisecond)
		one.signal(syscall.SIGCONT)
		return "one frozen"
	case 2:
		p.line.Stop()
		time.Sleep(700 * time.Millisecond)
		if err := p.line.Start(); err != nil {
			p.t.Error(err)
		}
		return "one cut off from PostgreSQL"
	default:
		p.server.Kill()
		p.server.Start()
		return "PostgreSQL killed and started"
	}
}
