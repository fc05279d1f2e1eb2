package clamd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"cloakroom.dev/libs/fault"
)

// eicar is the harmless file all scanners find; in two parts, so that none finds this one.
const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

// daemon is clamd's side of the protocol. answer gets what was sent and says what goes back.
type daemon struct {
	t      *testing.T
	limit  int
	answer func(content []byte) string
}

func (d *daemon) listen(network, address string) string {
	d.t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(d.t.Context(), network, address)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go d.serve(conn)
		}
	}()
	if network == "unix" {
		return "unix:" + address
	}
	return l.Addr().String()
}

func (d *daemon) serve(conn net.Conn) {
	defer conn.Close()
	command := make([]byte, len("zINSTREAM\x00"))
	if _, err := io.ReadFull(conn, command); err != nil || string(command) != "zINSTREAM\x00" {
		d.t.Errorf("command is %q, %v", command, err)
		return
	}
	var content []byte
	for {
		var length uint32
		if err := binary.Read(conn, binary.BigEndian, &length); err != nil {
			return
		}
		if length == 0 {
			break
		}
		chunk := make([]byte, length)
		if _, err := io.ReadFull(conn, chunk); err != nil {
			return
		}
		if content = append(content, chunk...); d.limit > 0 && len(content) > d.limit {
			_, _ = io.WriteString(conn, "INSTREAM size limit exceeded. ERROR\x00")
			return // at once, with bytes unread: as clamd does
		}
	}
	_, _ = io.WriteString(conn, d.answer(content))
}

func byContent(content []byte) string {
	if bytes.Contains(content, []byte(eicar)) {
		return "stream: Eicar-Test-Signature FOUND\x00"
	}
	return "stream: OK\x00"
}

func scan(t *testing.T, s *Scanner, content []byte) (string, error) {
	t.Helper()
	v, err := s.Scan(t.Context(), bytes.NewReader(content), int64(len(content)))
	return v.Name, err
}

func TestScan(t *testing.T) {
	d := &daemon{t: t, answer: byContent}
	for name, address := range map[string]string{
		"tcp": d.listen("tcp", "127.0.0.1:0"), "unix": d.listen("unix", filepath.Join(t.TempDir(), "s")),
	} {
		s := New(address, Options{})
		for _, n := range []int{0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 3 * chunkBytes} {
			content := bytes.Repeat([]byte("x"), n)
			if found, err := scan(t, s, content); err != nil || found != "" {
				t.Errorf("%s, %d bytes: %q, %v", name, n, found, err)
			}
			if found, err := scan(t, s, append(content, eicar...)); err != nil || found != "Eicar-Test-Signature" {
				t.Errorf("%s, %d bytes and EICAR: %q, %v", name, n, found, err)
			}
		}
	}
}

// Nothing but a whole "stream: OK" is clean.
func TestScan_WhatIsNotClean(t *testing.T) {
	for answer, kind := range map[string]fault.Kind{
		"":                      fault.Unavailable,
		"\x00":                  fault.Unavailable,
		"stream: OK":            fault.Unavailable, // cut off
		"OK\x00":                fault.Unavailable,
		"stream: OK FOUND?\x00": fault.Unavailable,
		"UNKNOWN COMMAND\x00":   fault.Unavailable,
		"INSTREAM size limit exceeded. ERROR\x00": fault.TooLarge,
		strings.Repeat("x", 3*maxAnswer):          fault.Unavailable,
	} {
		d := &daemon{t: t, answer: func([]byte) string { return answer }}
		if found, err := scan(t, New(d.listen("tcp", "127.0.0.1:0"), Options{}), []byte("x")); !errors.Is(err, fault.Of(kind)) || found != "" {
			t.Errorf("%.40q: %q, %v", answer, found, err)
		}
	}
	d := &daemon{t: t, answer: func([]byte) string { return "stream: a\nb\x1b[31m FOUND\x00" }}
	if found, err := scan(t, New(d.listen("tcp", "127.0.0.1:0"), Options{}), []byte("x")); err != nil || found != "a?b?[31m" {
		t.Errorf("a name with control characters: %q, %v", found, err)
	}
}

func TestScan_Limits(t *testing.T) {
	d := &daemon{t: t, answer: byContent, limit: 100}
	address := d.listen("tcp", "127.0.0.1:0")
	if _, err := scan(t, New(address, Options{MaxBytes: 10}), make([]byte, 11)); !errors.Is(err, fault.Of(fault.TooLarge)) {
		t.Errorf("ours: %v", err)
	}
	// The daemon's answer may be lost in the reset that follows unread bytes: then it is away, never clean.
	_, err := scan(t, New(address, Options{}), make([]byte, 4<<20))
	if !errors.Is(err, fault.Of(fault.TooLarge)) && !errors.Is(err, fault.Of(fault.Unavailable)) {
		t.Errorf("the daemon's: %v", err)
	}
}

func TestScan_BrokenContentIsNeverClean(t *testing.T) {
	d := &daemon{t: t, answer: byContent}
	s := New(d.listen("tcp", "127.0.0.1:0"), Options{})
	content := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("input/output error")))
	if v, err := s.Scan(t.Context(), content, 8); err == nil {
		t.Errorf("got %+v", v)
	}
}

func TestScan_Away(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	silent := &daemon{t: t, answer: func([]byte) string { <-over; return "" }}
	for name, address := range map[string]string{
		"refused": "127.0.0.1:1", "no socket": "unix:" + filepath.Join(t.TempDir(), "none"), "silent": silent.listen("tcp", "127.0.0.1:0"),
	} {
		began := time.Now()
		_, err := scan(t, New(address, Options{Timeout: 200 * time.Millisecond}), []byte("x"))
		if !errors.Is(err, fault.Of(fault.Unavailable)) || time.Since(began) > 20*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(began))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	began := time.Now()
	if _, err := New(silent.listen("tcp", "127.0.0.1:0"), Options{}).Scan(ctx, strings.NewReader("x"), 1); err == nil || time.Since(began) > 20*time.Second {
		t.Errorf("given up: %v after %v", err, time.Since(began))
	}
}

func TestScan_NoMoreAtOnceThanSet(t *testing.T) {
	var now, most atomic.Int32 // whose answer has not been begun: a client that has its own may come again before the connection is closed
	d := &daemon{t: t, answer: func([]byte) string {
		defer now.Add(-1)
		for n, m := now.Add(1), most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			continue
		}
		time.Sleep(20 * time.Millisecond)
		return "stream: OK\x00"
	}}
	s := New(d.listen("tcp", "127.0.0.1:0"), Options{Connections: 2})
	done := make(chan error, 10)
	for range 10 {
		go func() {
			_, err := s.Scan(t.Context(), strings.NewReader("x"), 1)
			done <- err
		}()
	}
	for range 10 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if most.Load() > 2 {
		t.Errorf("%d at once", most.Load())
	}
}

// The real daemon, where one is installed, with one signature of our own: no database of signatures is needed.
func TestScan_RealClamd(t *testing.T) {
	binary, err := exec.LookPath("clamd")
	if err != nil {
		t.Skip("no clamd on this machine; the tests above speak its protocol")
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const hexOfEicar = "45494341522d5354414e444152442d414e544956495255532d544553542d46494c45" // EICAR-STANDARD-ANTIVIRUS-TEST-FILE
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("db/test.ndb", "Cloakroom.Test:0:*:"+hexOfEicar+"\n")
	socket := filepath.Join(dir, "s")
	config := write("clamd.conf", "Foreground yes\nLocalSocket "+socket+"\nDatabaseDirectory "+dir+"/db\nStreamMaxLength 1M\nOfficialDatabaseOnly no\n")
	cmd := exec.CommandContext(t.Context(), binary, "--foreground", "--config-file="+config)
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("clamd does not listen: %s", out)
		}
	}
	s := New("unix:"+socket, Options{Timeout: 30 * time.Second})
	if found, err := scan(t, s, bytes.Repeat([]byte("harmless "), 10_000)); err != nil || found != "" {
		t.Errorf("harmless: %q, %v", found, err)
	}
	if found, err := scan(t, s, []byte(eicar)); err != nil || !strings.HasPrefix(found, "Cloakroom.Test") {
		t.Errorf("EICAR: %q, %v", found, err)
	}
	if _, err := scan(t, s, make([]byte, 3<<20)); !errors.Is(err, fault.Of(fault.TooLarge)) && !errors.Is(err, fault.Of(fault.Unavailable)) {
		t.Errorf("above StreamMaxLength: %v", err)
	}
}

func TestScan_CountsWhoWaitsForATurn(t *testing.T) {
	const turns, more = 2, 3
	release := make(chan struct{})
	asked := make(chan struct{}, turns+more)
	d := &daemon{t: t, answer: func([]byte) string { asked <- struct{}{}; <-release; return "stream: OK\x00" }}
	s := New(d.listen("tcp", "127.0.0.1:0"), Options{Connections: turns})
	var group sync.WaitGroup
	ask := func(ctx context.Context) { _, _ = s.Scan(ctx, strings.NewReader("x"), 1) }
	for range turns {
		group.Go(func() { ask(t.Context()) })
		<-asked
	}
	if n := s.Waiting(); n != 0 {
		t.Errorf("%d wait although each has a turn", n)
	}
	gone, leave := context.WithCancel(t.Context())
	for range more {
		group.Go(func() { ask(gone) })
	}
	until := func(want int) {
		t.Helper()
		for end := time.Now().Add(time.Minute); s.Waiting() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d wait, want %d", s.Waiting(), want)
			}
		}
	}
	until(more)
	leave()
	until(0)
	close(release)
	group.Wait()
}
