// Package load brings crowds: what many clients at once may cost, black box through the real gateway.
package load

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// A connection that has waited some seconds for its next request is parked: no buffer of net/http's, the smallest of stacks. The mark is
// 160 MiB for 10 000 of them, the process itself among it.
func TestIdleConnections_AreBounded(t *testing.T) {
	const perConnection, apart = 10 << 10, 62 << 20 // apart: the process itself, of which the client of a cluster is 15 MiB
	n := howMany(t, 1)
	s := harness.StartThree(t)
	ada := harness.NewClient(t, s.Public).SignUp()
	token := ada.Session.AccessToken
	before := rss(t, s.Gateway)
	gather(t, s.Public, n, func(_ int, c *caller) error {
		res, err := c.get("/v1/files/usage", token)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return errors.Join(err, res.Body.Close())
	})
	atOnce := rss(t, s.Gateway)
	most, after := int64(n)*perConnection+apart, atOnce
	for end := time.Now().Add(30 * time.Second); after > most && time.Now().Before(end); after = rss(t, s.Gateway) {
		time.Sleep(time.Second)
		collect(t, s.GatewayOps) // a quiet process does it every two minutes; the runtime gives back what it has freed, bit by bit
	}
	t.Logf("%d idle connections: the gateway has %d MiB, %.1f KiB for each; at once it was %d MiB",
		n, after>>20, float64(after-before)/1024/float64(n), atOnce>>20)
	if after > most {
		t.Errorf("the gateway has %d MiB, the most is %d", after>>20, most>>20)
	}
	ada.Do("GET", "/v1/files", nil).Is(200)
}

// collect makes a process collect its garbage, of which the beginnings of so many connections leave a lot.
func collect(t *testing.T, ops string) {
	t.Helper()
	res, err := http.Get(ops + "/debug/pprof/heap?gc=1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
}

// Readers that take nothing hold small buffers, and hinder nobody. Most read what the kernel and the gateway hold between them;
// for some the files service waits too.
func TestSlowReaders_AreBounded(t *testing.T) {
	const (
		short, long   = 112 << 10, 4 << 20
		longOnes      = 100
		perConnection = 96 << 10
		apart         = 48 << 20 // big buffers, and the garbage of so many beginnings
	)
	n := howMany(t, 2)
	s := harness.StartThree(t)
	ada := harness.NewClient(t, s.Public).SignUp()
	content := make([]byte, long)
	_, _ = rand.Read(content)
	paths := []string{
		"/v1/files/" + ada.Upload("short", content[:short]).Is(201).File().ID + "/content",
		"/v1/files/" + ada.Upload("long", content).Is(201).File().ID + "/content",
	}
	which := func(i int) int { return min(1, i/(n-longOnes)) } // the last ones are long
	gateway, files := rss(t, s.Gateway), rss(t, s.Files)
	bodies := make([]io.ReadCloser, n)
	crowd := gather(t, s.Public, n, func(i int, c *caller) error {
		res, err := c.get(paths[which(i)], ada.Session.AccessToken)
		if err == nil {
			bodies[i] = res.Body
		}
		return err
	})
	for name, grown := range map[string]int64{"gateway": rss(t, s.Gateway) - gateway, "files-svc": rss(t, s.Files) - files} {
		t.Logf("%d readers that take nothing: %s grew by %d MiB, %.1f KiB for each", n, name, grown>>20, float64(grown)/1024/float64(n))
		if grown > int64(n)*perConnection+apart {
			t.Errorf("%s grew by %d MiB", name, grown>>20)
		}
	}
	began := time.Now()
	ada.Upload("meanwhile", []byte("x")).Is(201)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("an upload beside them took %s", took)
	}
	for _, i := range []int{n - 2*longOnes, n - longOnes - 1, n - longOnes, n - 1} { // who goes on before it is cut gets everything
		_ = crowd[i].conn.SetDeadline(time.Now().Add(time.Minute))
		want := content[:[]int{short, long}[which(i)]]
		if got, err := io.ReadAll(bodies[i]); err != nil || !bytes.Equal(got, want) {
			t.Errorf("reader %d got %d bytes of %d, %v", i, len(got), len(want), err)
		}
	}
}

// Who sends a byte now and then to keep a connection loses it.
func TestSlowUploaders_AreCut(t *testing.T) {
	const many, most = 200, 2 * time.Minute // a window has 15 s; where nobody is cut they send for hours
	s := harness.Start(t)
	ada := harness.NewClient(t, s.Public).SignUp()
	began := time.Now()
	crowd := gather(t, s.Public, many, func(_ int, c *caller) error {
		_, err := fmt.Fprintf(c.conn, "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"+
			"Content-Disposition: attachment; filename=a\r\nContent-Length: 1000000\r\n\r\n", ada.Session.AccessToken)
		return err
	})
	var wait sync.WaitGroup
	for i, c := range crowd {
		_ = c.conn.SetDeadline(began.Add(most))
		go func() {
			for ; ; time.Sleep(500 * time.Millisecond) {
				if _, err := c.conn.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
		wait.Go(func() {
			res, err := http.ReadResponse(c.in, nil)
			switch {
			case err != nil:
				t.Errorf("uploader %d: no answer after %s: %v", i, time.Since(began), err)
			case res.StatusCode != http.StatusRequestTimeout || !res.Close:
				t.Errorf("uploader %d was answered %s, and the connection is to be closed: %v", i, res.Status, res.Close)
			}
		})
	}
	wait.Wait()
	t.Logf("%d uploaders of two bytes a second were cut after %s", many, time.Since(began).Round(time.Second))
	ada.Upload("after", []byte("x")).Is(201)
}

// The last megabyte of a quota goes to exactly as many uploads as fit, however many come at once, and commits are shared.
func TestQuota_AThousandAskForTheLastMegabyte(t *testing.T) {
	const many, size, quota = 1000, 4096, 1 << 20
	dir := harness.ConfigDir(t, harness.Replace(t, "quota: 10Gi", "quota: 1Mi"), harness.Replace(t, "maxObjectBytes: 5Gi", "maxObjectBytes: 1Mi"),
		harness.Replace(t, "    maxConnections: 20000\n", "    maxConnections: 20000\n    maxConnectionsPerAddress: 2000\n")) // all of them are one address
	s := harness.Start(t, "CONFIG_DIR="+dir)
	ada := harness.NewClient(t, s.Public).SignUp()
	content := make([]byte, size)
	gate := make(chan struct{})
	var mu sync.Mutex
	got := map[int]int{}
	var wait sync.WaitGroup
	for i := range many {
		wait.Go(func() {
			<-gate
			answer := ada.Try("POST", "/v1/files", bytes.NewReader(content), harness.Raw(strconv.Itoa(i)))
			if answer.Err != nil {
				t.Errorf("upload %d was not answered: %v", i, answer.Err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[answer.Status]++
		})
	}
	writes, commits := groups(t, s)
	close(gate)
	wait.Wait()
	var usage struct{ Bytes int64 }
	ada.Do("GET", "/v1/files/usage", nil).Is(200).JSON(&usage)
	if got[201] != quota/size || got[413] != many-quota/size || usage.Bytes != quota {
		t.Errorf("answers %v, %d bytes are kept of %d", got, usage.Bytes, quota)
	}
	moreWrites, moreCommits := groups(t, s)
	writes, commits = moreWrites-writes, moreCommits-commits
	t.Logf("%.0f writes of the catalogue shared %.0f commits: %.1f for each sync", writes, commits, writes/commits)
	if commits > writes/2 {
		t.Errorf("%.0f commits for %.0f writes: they do not share", commits, writes)
	}
}

// groups is how many writes the files catalogue has had, and in how many commits.
func groups(t *testing.T, s *harness.Stack) (writes, commits float64) {
	t.Helper()
	res, err := http.Get(s.Ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.Contains(name, `db="files"`) {
			continue
		}
		n, _ := strconv.ParseFloat(value, 64)
		switch {
		case strings.HasPrefix(name, "cloakroom_sqlite_commit_writes_sum"):
			writes = n
		case strings.HasPrefix(name, "cloakroom_sqlite_commit_writes_count"):
			commits = n
		}
	}
	if commits == 0 {
		t.Fatal("no metric tells of commits")
	}
	return writes, commits
}
