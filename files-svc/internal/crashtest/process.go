package crashtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// patience bounds every wait of a cell: on a machine that is busy with other things too.
const patience = 20 * time.Second

// process is a running child.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	socket string
	exited chan struct{}
	err    error // how it ended; read it after exited
}

// start starts a child and waits until it serves. Its log goes to a file.
func start(ctx context.Context, command []string, j job, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: exec.CommandContext(ctx, command[0], command[1:]...), exited: make(chan struct{})} //nolint:gosec // our own program
	p.cmd.Stderr = log
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the child: %w", err)
	}
	if err := json.NewEncoder(stdin).Encode(j); err != nil {
		return nil, fmt.Errorf("tell the child its job: %w", err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	if line != ready+"\n" {
		p.kill()
		said, _ := os.ReadFile(logFile)
		return nil, fmt.Errorf("the child did not start: %s", bytes.TrimSpace(said))
	}
	p.socket = j.Socket
	return p, nil
}

// kill ends the child, if it still runs.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone
	<-p.exited
	_ = p.stdin.Close()
}

// died waits for the end that a fault brings.
func (p *process) died() error {
	select {
	case <-p.exited:
	case <-time.After(patience):
		return errors.New("the process outlived its end")
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the process ended by itself: %w", p.err)
	}
	return nil
}

// terminate sends SIGTERM; stopped waits for the end.
func (p *process) terminate() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

func (p *process) stopped() error {
	select {
	case <-p.exited:
		return p.err
	case <-time.After(patience):
		return errors.New("the process did not end after SIGTERM")
	}
}

// steer calls the child's steering; out may be nil.
func (p *process) steer(ctx context.Context, method, path string, in, out any) error {
	body := &bytes.Buffer{}
	if in != nil {
		if err := json.NewEncoder(body).Encode(in); err != nil {
			return err
		}
	}
	res, err := p.send(ctx, method, "/crashtest/"+path, body)
	if err != nil {
		return err
	}
	if res.status != http.StatusOK {
		return fmt.Errorf("%s: %s", path, bytes.TrimSpace(res.body))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(res.body, out)
}

// response is an answer that was read to its end.
type response struct {
	status int
	header http.Header
	body   []byte
}

// send makes a request; headers are name, value, name, value. An answer that breaks off is an error.
func (p *process) send(ctx context.Context, method, path string, body io.Reader, headers ...string) (response, error) {
	res, err := p.open(ctx, method, path, body, headers...)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, raw}, err
}

// open is send up to the answer's first byte.
func (p *process) open(ctx context.Context, method, path string, body io.Reader, headers ...string) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "crashtest"}
	r, err := http.NewRequestWithContext(ctx, method, u.String()+path, body)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return p.do(r)
}

// do sends a request on a connection of its own, so that nothing is ever sent twice. It doesn't tell the server so: one
// that knows that a connection ends with its answer doesn't wait until a client that is still sending has read it.
func (p *process) do(r *http.Request) (*http.Response, error) {
	client := &http.Client{Transport: &http.Transport{
		IdleConnTimeout: time.Second, // a shorter one ends connections of a busy machine before they are used
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", p.socket)
		},
	}}
	return client.Do(r)
}
