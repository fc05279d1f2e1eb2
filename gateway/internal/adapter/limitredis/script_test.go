package limitredis

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/routing/limitertest"
)

// TestTake_AClusterIsChargedOnce: a node that charges and breaks off before it answers is not asked again.
func TestTake_AClusterIsChargedOnce(t *testing.T) {
	charges := atomic.Int64{}
	at := brokenNode(t, &charges)
	s := real(t, Options{Addresses: []string{at}, Cluster: true, Prefix: ownPrefix(t), Timeout: 5 * time.Second, Replicas: 1})
	limitertest.One(t, s.Limiter, hundred, alice)
	if n := charges.Load(); n != 1 {
		t.Errorf("charged %d times, want once", n)
	}
}

// brokenNode is a cluster of one node that counts the charges it gets and hangs up.
func brokenNode(t *testing.T, charges *atomic.Int64) (at string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	host, port, _ := net.SplitHostPort(l.Addr().String())
	slots := fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$%d\r\n%s\r\n:%s\r\n$4\r\nnode\r\n", len(host), host, port)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					words, err := readCommand(in)
					if err != nil {
						return
					}
					answer := "-ERR unknown\r\n"
					switch strings.ToLower(words[0]) {
					case "cluster":
						answer = slots
					case "evalsha":
						if strings.Contains(strings.Join(words, " "), takeScript.name) {
							charges.Add(1)
						}
						return
					}
					if _, err := io.WriteString(c, answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// readCommand reads an array of strings (RESP).
func readCommand(in *bufio.Reader) (words []string, err error) {
	n, err := readNumber(in)
	for range n {
		size, failed := readNumber(in)
		word := make([]byte, size+2)
		if _, err = io.ReadFull(in, word); err != nil || failed != nil {
			return nil, io.ErrUnexpectedEOF
		}
		words = append(words, string(word[:size]))
	}
	if len(words) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return words, err
}

func readNumber(in *bufio.Reader) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil || len(line) < 3 {
		return 0, io.ErrUnexpectedEOF
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
