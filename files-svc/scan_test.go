package filessvc

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cloakroom.dev/libs/api/v1alpha1"
)

// scannerDaemon speaks clamd's protocol and finds "evil".
func scannerDaemon(t *testing.T, away *atomic.Bool) string {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if away.Load() {
				_ = conn.Close()
				continue
			}
			go scanOne(conn)
		}
	}()
	return l.Addr().String()
}

func scanOne(conn net.Conn) {
	defer conn.Close()
	var content bytes.Buffer
	_, err := io.CopyN(io.Discard, conn, int64(len("zINSTREAM\x00")))
	for n := uint32(1); err == nil && n > 0; {
		if err = binary.Read(conn, binary.BigEndian, &n); err == nil {
			_, err = io.CopyN(&content, conn, int64(n))
		}
	}
	answer := "stream: OK\x00"
	if strings.Contains(content.String(), "evil") {
		answer = "stream: Test.Evil FOUND\x00"
	}
	_, _ = io.WriteString(conn, answer)
}

// However it is uploaded: an infected file is listed, counts, can be deleted, and none of its bytes are given to anybody.
func TestScanner_InfectedIs403(t *testing.T) {
	var away atomic.Bool
	address := scannerDaemon(t, &away)
	w := newWorldIn(t, t.TempDir(), newIssuer(t), func(c *Config) {
		c.Boot.Spec.Scanner = &v1alpha1.FileScanner{
			Clamd: &v1alpha1.Clamd{Address: v1alpha1.ScannerAddress(address)}, OnUnavailable: v1alpha1.UnscannedRefuse,
		}
	})
	p := w.person()
	good := p.upload("good", "text/plain", reader("good"))
	raw := p.upload("raw", "text/plain", reader("some evil"))
	body, formType := formOf(t, "form", "text/plain", []byte("more evil"))
	form := p.do(http.MethodPost, "/v1/files", body, "Content-Type", formType).file(t, http.StatusCreated)
	replaced := p.do(http.MethodPut, good.content(), reader("now evil"), "Content-Type", "text/plain").file(t, http.StatusOK)
	for _, f := range []file{raw, form, replaced} {
		p.get(f.content()).refused(t, f.Name, 403, "FORBIDDEN")
		p.get(f.content(), "Range", "bytes=0-1").refused(t, f.Name+" range", 403, "FORBIDDEN")
		if a := p.do(http.MethodHead, f.content(), nil); a.status != 403 {
			t.Errorf("head of %s: %d", f.Name, a.status)
		}
		if a := p.get("/v1/files/" + f.ID); a.status != 200 {
			t.Errorf("metadata of %s: %d", f.Name, a.status)
		}
	}
	if n := w.metric("cloakroom_files_scans_total", "result", "infected"); n != 3 {
		t.Errorf("%v infected", n)
	}
	away.Store(true)
	headers := []string{"Content-Type", "text/plain", "Content-Disposition", `attachment; filename="x"`}
	p.do(http.MethodPost, "/v1/files", reader("good"), headers...).refused(t, "while the scanner is away", 503, "UNAVAILABLE")
	for _, f := range []file{raw, form, replaced} {
		if a := p.do(http.MethodDelete, "/v1/files/"+f.ID+"?permanent=true", nil); a.status != http.StatusNoContent {
			t.Errorf("delete %s: %d", f.Name, a.status)
		}
	}
	if u := p.get("/v1/files/usage"); !strings.HasPrefix(string(u.body), `{"bytes":0,"files":0,`) {
		t.Errorf("usage is %s", u.body)
	}
}

// A concatenation that fails at its end leaves its parts as they were and nothing else: it can be asked for again and again.
func TestScanner_ConcatenationsWhileItIsAway(t *testing.T) {
	var away atomic.Bool
	address := scannerDaemon(t, &away)
	w := newWorldIn(t, t.TempDir(), newIssuer(t), func(c *Config) {
		c.Boot.Spec.Scanner = &v1alpha1.FileScanner{
			Clamd: &v1alpha1.Clamd{Address: v1alpha1.ScannerAddress(address)}, OnUnavailable: v1alpha1.UnscannedRefuse,
		}
	}, policyWith(`{quota: 250Ki, maxObjectBytes: 250Ki}`))
	p := w.person()
	content := randomBytes(100 << 10)
	part := p.newTus(int64(len(content)), "Upload-Concat", "partial")
	p.tus("PATCH", part, content, "Upload-Offset", "0").is(t, "part", 204)
	join := func() answer { return p.tus("POST", "/v1/uploads", nil, "Upload-Concat", "final;"+part) }
	away.Store(true)
	for range 3 {
		join().refused(t, "away", 503, "UNAVAILABLE")
	}
	if left := w.blobFiles(); len(left) != 1 { // what is copied beside the quota must not stay
		t.Errorf("beside the part there are %v", left)
	}
	away.Store(false)
	at := join().at(t, 201)
	p.holds(p.tus("HEAD", at, nil).header.Get("Location"), content)
}

func TestScan_WhoWaitsIsShownWhereThereIsAScanner(t *testing.T) {
	for want, spec := range []v1alpha1.FilesConfigSpec{
		{}, {Scanner: &v1alpha1.FileScanner{Clamd: &v1alpha1.Clamd{Address: "clamd:3310"}}},
	} {
		reg := prometheus.NewRegistry()
		meterScanner(reg, scan(spec).Scanner)
		if n, err := testutil.GatherAndCount(reg, "cloakroom_files_scans_waiting"); n != want || err != nil {
			t.Errorf("%d series, want %d: %v", n, want, err)
		}
	}
}
