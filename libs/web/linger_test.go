package web_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

// A refused request whose body never comes gets its answer, and its connection back to us.
func TestEdge_BodiesNobodyReadsAreNotWaitedFor(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	refuse := web.Func(func(http.ResponseWriter, *http.Request) error { return fault.New(fault.Forbidden, "no") })
	srv := web.NewServer(web.Edge(refuse, web.EdgeOptions{Listener: "test", Log: log}), log)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
		t.Run(expect, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+expect+"Content-Length: 10\r\n\r\n")
			answer, err := io.ReadAll(conn) // to the end of the connection
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 403") {
				t.Errorf("got %.40q, %v", answer, err)
			}
		})
	}
}
