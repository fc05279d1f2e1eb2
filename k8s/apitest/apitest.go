// Package apitest runs a real Kubernetes API server, with its etcd, on this machine's loopback for the length of a test: CRDs,
// CEL rules, server-side apply, watches and rights are then those of a cluster, without containers or nodes.
//
// The two binaries come from $KUBEBUILDER_ASSETS or from k8s/tools/apiserver/build, which `make test-cluster` runs. A
// $KUBECONFIG is never used here: these tests remove CRDs and stop the server.
package apitest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Server is an API server that lives as long as its test.
type Server struct {
	t         testing.TB
	whole     testing.TB // ends when the server does
	assets    string
	folder    string
	etcd      string // its address
	port      int
	apiserver *process
}

// Users that the server knows, by the token they come with: Admin may everything, Nobody has no right until a test grants one.
const (
	Admin  = "admin"
	Nobody = "nobody"
)

// Start starts a server. Where there are no binaries the test is skipped with a loud line, or fails when TEST_CLUSTER is set.
func Start(t testing.TB) *Server {
	t.Helper()
	assets := find(t)
	s := &Server{t: t, whole: t, assets: assets, folder: t.TempDir(), port: freePort(t)}
	s.keys()
	client, peer := freePort(t), freePort(t)
	s.etcd = "http://127.0.0.1:" + strconv.Itoa(client)
	peers := "http://127.0.0.1:" + strconv.Itoa(peer)
	s.start("etcd", "--data-dir="+filepath.Join(s.folder, "etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+s.etcd, "--advertise-client-urls="+s.etcd,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers)
	s.Resume()
	return s
}

// For is the same server for a subtest, which then is what fails.
func (s *Server) For(t testing.TB) *Server {
	c := *s
	c.t = t
	return &c
}

// find returns the folder of the binaries.
func find(t testing.TB) string {
	t.Helper()
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		return assets
	}
	_, here, _, _ := runtime.Caller(0)
	out, err := exec.Command(filepath.Join(filepath.Dir(here), "../tools/apiserver/build"), "--look").Output() //nolint:gosec // a script of this folder
	if err == nil {
		return strings.TrimSpace(string(out))
	}
	const why = "*** NOT RUN for want of a Kubernetes API server: `make test-cluster` builds one ***"
	if os.Getenv("TEST_CLUSTER") != "" {
		t.Fatal(why)
	}
	fmt.Fprintln(os.Stderr, why)
	t.Skip(why)
	return ""
}

// keys writes what the API server signs service accounts with and whom it knows.
func (s *Server) keys() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("sa.key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	s.write("tokens", []byte(Admin+",admin,1,\"system:masters\"\n"+Nobody+",nobody,2\n"))
}

func (s *Server) write(name string, content []byte) {
	if err := os.WriteFile(filepath.Join(s.folder, name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Resume starts the API server, over what etcd holds, and waits until it is ready.
func (s *Server) Resume() {
	s.t.Helper()
	key := filepath.Join(s.folder, "sa.key")
	s.apiserver = s.start("kube-apiserver", "--etcd-servers="+s.etcd, "--cert-dir="+s.folder,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+strconv.Itoa(s.port),
		"--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC", "--token-auth-file="+filepath.Join(s.folder, "tokens"),
		"--service-account-issuer=https://127.0.0.1", "--service-account-key-file="+key, "--service-account-signing-key-file="+key,
		"--disable-admission-plugins=ServiceAccount", "--profiling=false", "--v=0")
	deadline := time.Now().Add(2 * time.Minute)
	for err := s.ready(); err != nil; err = s.ready() {
		if s.apiserver.ended() || time.Now().After(deadline) {
			s.t.Fatalf("the API server doesn't get ready: %v\n%s", err, s.log("kube-apiserver"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// ready fails until the server says it is; its certificate is the first thing it makes.
func (s *Server) ready() error {
	client, err := rest.HTTPClientFor(s.Config(Admin))
	if err != nil {
		return err
	}
	client.Timeout = 5 * time.Second
	resp, err := client.Get(s.Config(Admin).Host + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// Pause stops the API server as a crash would; etcd keeps what there is. Resume brings it back.
func (s *Server) Pause() {
	s.t.Helper()
	s.apiserver.stop()
}

// Config is how a user reaches the server.
func (s *Server) Config(user string) *rest.Config {
	return &rest.Config{
		Host: "https://127.0.0.1:" + strconv.Itoa(s.port), BearerToken: user, QPS: 1000, Burst: 1000,
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(s.folder, "apiserver.crt")},
	}
}

// start runs a binary until the test ends.
func (s *Server) start(name string, args ...string) *process {
	s.t.Helper()
	out, err := os.OpenFile(filepath.Join(s.folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.CommandContext(context.WithoutCancel(s.whole.Context()), filepath.Join(s.assets, name), args...) //nolint:gosec // the assets are the caller's
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // killed, as a rule
		close(p.done)
	}()
	s.whole.Cleanup(p.stop)
	return p
}

// process is a binary that runs.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// log is the end of what a binary wrote.
func (s *Server) log(name string) string {
	text, _ := os.ReadFile(filepath.Join(s.folder, name+".log"))
	lines := bytes.Split(text, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-20):], []byte("\n")))
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
