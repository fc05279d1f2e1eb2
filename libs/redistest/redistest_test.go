package redistest_test

import (
	"bufio"
	"net"
	"testing"
	"time"

	"cloakroom.dev/libs/redistest"
)

// say sends a command and returns the first line of the answer.
func say(t *testing.T, address, command string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return line
}

func TestNewServer_IsKilledPausedAndComesBackEmptyAtTheSameAddress(t *testing.T) {
	if a, b := redistest.New(t), redistest.New(t); a != b {
		t.Fatalf("two shared servers: %s and %s", a, b)
	}
	s := redistest.NewServer(t)
	if got := say(t, s.Address, "SET a 1"); got != "+OK\r\n" {
		t.Fatalf("SET: %q", got)
	}
	s.Pause(t)
	if got := say(t, s.Address, "GET a"); got == "$1\r\n" {
		t.Error("a paused server answered")
	}
	s.Resume(t)
	if got := say(t, s.Address, "GET a"); got != "$1\r\n" {
		t.Errorf("after the pause: %q", got)
	}
	s.Kill(t)
	s.Run(t)
	if got := say(t, s.Address, "GET a"); got != "$-1\r\n" {
		t.Errorf("after the kill: %q", got)
	}
}
