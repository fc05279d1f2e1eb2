package redistest_test

import (
	"bufio"
	"net"
	"testing"
	"time"

	"cloakroom.dev/libs/redistest"
)

// say sends a command and returns the first line of the answer, or what kept it from coming within the time.
func say(t *testing.T, address, command string, within time.Duration) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(within))
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
	if got := say(t, s.Address, "SET a 1", time.Minute); got != "+OK\r\n" {
		t.Fatalf("SET: %q", got)
	}
	s.Pause(t)
	if got := say(t, s.Address, "GET a", 300*time.Millisecond); got == "$1\r\n" {
		t.Error("a paused server answered")
	}
	s.Resume(t)
	if got := say(t, s.Address, "GET a", time.Minute); got != "$1\r\n" {
		t.Errorf("after the pause: %q", got)
	}
	s.Kill(t)
	s.Run(t)
	if got := say(t, s.Address, "GET a", time.Minute); got != "$-1\r\n" {
		t.Errorf("after the kill: %q", got)
	}
}
