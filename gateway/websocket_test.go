package gateway_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

// echo is a service that takes a WebSocket and sends back every byte: to a gateway frames are bytes.
func echo(rw http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	_ = buf.Flush()
	_, _ = io.Copy(conn, buf)
}

// dial opens a WebSocket and returns its connection after the handshake.
func (w *world) dial(path string, headers ...string) (net.Conn, *bufio.Reader, *http.Response) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	text := "GET " + path + " HTTP/1.1\r\nHost: " + w.addr + "\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, h := range headers {
		text += h + "\r\n"
	}
	_, _ = io.WriteString(c, text+"\r\n")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	br := bufio.NewReader(c)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return c, br, res
}

func exchangeBytes(t *testing.T, c net.Conn, br *bufio.Reader, n int) {
	t.Helper()
	sent := strings.Repeat("\x81\x05hello\n \r\n", n)
	go func() { _, _ = io.WriteString(c, sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(br, got); err != nil || string(got) != sent {
		t.Fatalf("the echo is not what was sent: %v", err)
	}
}

func TestWebSocket_PassesBytesBothWays(t *testing.T) {
	w := start(t, setup{})
	w.files.serve(echo)
	c, br, res := w.dial("/closed/ws", bearer(w.issuer.Mint()))
	if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || res.Header.Get("X-Request-Id") == "" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	if connection := res.Header.Values("Connection"); len(connection) != 1 || !strings.EqualFold(connection[0], "upgrade") {
		t.Errorf("Connection: %v", connection)
	}
	exchangeBytes(t, c, br, 1)
	exchangeBytes(t, c, br, 20_000)
	if n := w.metric("cloakroom_gateway_tunnels"); n != 1 {
		t.Errorf("%v tunnels", n)
	}
	_ = c.Close()
	eventually(t, "the tunnel is forgotten", func() bool { return w.metric("cloakroom_gateway_tunnels") == 0 })
}

func TestWebSocket_RefusalsAreAnswersAndEndTheConnection(t *testing.T) {
	w := start(t, setup{})
	raw := w.issuer.Mint(tokentest.Session("s-ws"))
	w.issuer.Revoke(token.KindSession, "s-ws")
	eventually(t, "the session is revoked", func() bool { return w.get("/closed", bearer(raw)).status == 401 })
	before := w.files.count()
	for name, headers := range map[string][]string{"no token": nil, "a revoked token": {bearer(raw)}} {
		c, br, res := w.dial("/closed/ws", headers...)
		_, _ = io.ReadAll(res.Body)
		if res.StatusCode != 401 {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
		_, _ = io.WriteString(c, "GET /open HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := br.ReadByte(); err == nil {
			t.Errorf("%s: the connection lives on", name)
		}
	}
	if w.files.count() != before {
		t.Error("something reached the service")
	}
	// A service that does not take the upgrade answers as usual.
	_, _, res := w.dial("/open/plain")
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(body) != "ok" || !res.Close {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

func TestWebSocket_RevocationCutsIt(t *testing.T) {
	w := start(t, setup{})
	w.files.serve(echo)
	mine, br, _ := w.dial("/closed/ws", bearer(w.issuer.Mint(tokentest.Session("s-mine"))))
	theirs, theirReader, _ := w.dial("/closed/ws", bearer(w.issuer.Mint(tokentest.Session("s-theirs"))))
	exchangeBytes(t, mine, br, 1)
	began := time.Now()
	w.issuer.Revoke(token.KindSession, "s-mine")
	if _, err := br.ReadByte(); err == nil {
		t.Error("bytes for a revoked session")
	}
	if took := time.Since(began); took > soon {
		t.Errorf("cut after %v", took)
	}
	exchangeBytes(t, theirs, theirReader, 1)
}

func TestWebSocket_ADrainGivesItTimeAndThenCutsIt(t *testing.T) {
	t.Parallel() // the drain is long enough for a busy machine
	w := start(t, setup{boot: "  trustedProxies: {none: {}}\n  drain: {delay: 0s, timeout: 5s}\n"})
	w.files.serve(echo)
	c, br, _ := w.dial("/open/ws")
	exchangeBytes(t, c, br, 1)
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- w.end() }()
	w.untilNobodyIsLetIn()
	exchangeBytes(t, c, br, 1) // it still works
	if _, err := br.ReadByte(); err == nil {
		t.Error("bytes after the drain")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 4900*time.Millisecond || took > 5*time.Second+soon {
		t.Errorf("the drain took %v", took)
	}
}
