// Package chaos breaks a running stack and looks at what is left.
package chaos

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// worker is one person at work while the power fails, and what they remember of it.
type worker struct {
	*harness.Client
	n       int
	rng     *rand.Rand
	acked   map[string]string // name -> digest of what was acknowledged
	tried   map[string]string // name -> digest of what was sent and never answered
	deleted map[string]bool
	asked   map[string]bool // name -> a delete was sent and never answered
	ids     map[string]string
	out     []harness.Client // sessions whose logout was acknowledged
}

// TestKill_WhatWasAcknowledgedIsThereAndNothingElse kills the stack in the middle of uploads, deletes, refreshes and
// logouts, starts it again on what is left, and asks for everything.
func TestKill_WhatWasAcknowledgedIsThereAndNothingElse(t *testing.T) {
	const rounds, workers = 10, 6
	s := harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t,
		harness.Replace(t, "\nkind: FilesConfig\nmetadata:\n  name: files\nspec:\n", "\nkind: FilesConfig\nmetadata:\n  name: files\nspec:\n  restoreHorizon: 0s\n"),
		harness.Replace(t, "    limit: 3000\n", "    limit: 1000000\n"), // six clients that never pause are no people at a browser
	))
	anyone := harness.NewClient(t, s.Public)
	crew := make([]*worker, workers)
	for i := range crew {
		crew[i] = &worker{
			Client: anyone.SignUp(), n: i, rng: rand.New(rand.NewPCG(uint64(i), 7)),
			acked: map[string]string{}, tried: map[string]string{}, deleted: map[string]bool{}, asked: map[string]bool{}, ids: map[string]string{},
		}
	}
	for round := range rounds {
		stop := make(chan struct{})
		var group sync.WaitGroup
		for _, w := range crew {
			group.Go(func() { w.work(anyone, round, stop) })
		}
		time.Sleep(time.Duration(150+rand.IntN(600)) * time.Millisecond)
		s.Kill()
		close(stop)
		group.Wait()
		s.Run()
		anyone.Base = s.Public
		for _, w := range crew {
			w.Base = s.Public
			w.audit(t, round)
		}
	}
	var uploads, logouts int
	for _, w := range crew {
		uploads += len(w.acked) + len(w.deleted)
		logouts += len(w.out)
	}
	t.Logf("%d kills: %d acknowledged uploads and %d acknowledged logouts held", rounds, uploads, logouts)
	if uploads == 0 || logouts == 0 {
		t.Error("the kills came before anything was acknowledged")
	}
	nothingElseOnDisk(t, s, crew)
}

func (w *worker) work(anyone *harness.Client, round int, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		switch k := w.rng.IntN(10); {
		case k < 6:
			w.upload(fmt.Sprintf("w%d-r%d-%d", w.n, round, i))
		case k < 7:
			w.remove()
		case k < 9:
			w.refresh()
		default:
			w.logInAndOut(anyone)
		}
	}
}

func (w *worker) upload(name string) {
	content := make([]byte, w.rng.IntN(300<<10))
	for i := range content {
		content[i] = byte(w.rng.Uint32())
	}
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	w.tried[name] = digest
	a := w.Try("POST", "/v1/files", bytes.NewReader(content), harness.Raw(name))
	if a.Err == nil && a.Status == http.StatusCreated {
		w.acked[name], w.ids[name] = digest, a.File().ID
		delete(w.tried, name)
	}
}

func (w *worker) remove() {
	for name, id := range w.ids {
		if w.deleted[name] || w.asked[name] {
			continue
		}
		w.asked[name] = true
		a := w.Try("DELETE", "/v1/files/"+id+"?permanent=1", nil)
		if a.Err == nil && a.Status == http.StatusNoContent {
			w.deleted[name] = true
			delete(w.asked, name)
			delete(w.acked, name)
		}
		return
	}
}

// refresh keeps the old token when no answer comes: a client whose answer was lost asks again with it.
func (w *worker) refresh() {
	a := w.Try("POST", "/v1/auth/refresh", map[string]string{"refresh_token": w.Session.RefreshToken}, harness.Header("Authorization", ""))
	if a.Err == nil && a.Status == http.StatusOK {
		var body struct {
			Session harness.Session `json:"session"`
		}
		a.JSON(&body)
		w.Session = body.Session
	}
}

func (w *worker) logInAndOut(anyone *harness.Client) {
	a := anyone.Try("POST", "/v1/auth/login", map[string]string{"identifier": w.User.Username, "password": harness.Password})
	if a.Err != nil || a.Status != http.StatusOK {
		return
	}
	var body struct {
		Session harness.Session `json:"session"`
	}
	a.JSON(&body)
	session := *anyone
	session.Session = body.Session
	if a := session.Try("POST", "/v1/auth/logout", nil); a.Err == nil && a.Status == http.StatusNoContent {
		w.out = append(w.out, session)
	}
}

// audit asks for everything the worker knows.
func (w *worker) audit(t *testing.T, round int) {
	t.Helper()
	w.Refresh().Is(200) // with the token it has, whether or not the kill ate the answer to the last refresh
	for _, session := range w.out {
		session.Base = w.Base
		session.Do("GET", "/v1/auth/session", nil).Refused(401, "INVALID_TOKEN")
		session.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
	}
	var total int64
	seen := map[string]harness.File{}
	for _, f := range w.list() {
		seen[f.Name] = f
		total += f.Size
		want, acked := w.acked[f.Name]
		if !acked {
			want = w.tried[f.Name]
		}
		body := w.Do("GET", "/v1/files/"+f.ID+"/content", nil).Is(200).Body
		if sum := sha256.Sum256(body); want == "" || hex.EncodeToString(sum[:]) != want || f.SHA256 != want {
			t.Errorf("round %d: %s is there with digest %s, want %q", round, f.Name, f.SHA256, want)
		}
		w.acked[f.Name], w.ids[f.Name] = want, f.ID
		delete(w.tried, f.Name)
		if w.deleted[f.Name] {
			t.Errorf("round %d: %s is back after its delete was acknowledged", round, f.Name)
		}
	}
	for name := range w.acked {
		if _, there := seen[name]; there {
			continue
		}
		if !w.asked[name] {
			t.Errorf("round %d: %s was acknowledged and is gone", round, name)
		}
		delete(w.acked, name)
		w.deleted[name] = true
	}
	clear(w.asked)
	clear(w.tried)
	var usage struct{ Bytes, Files int64 }
	w.Do("GET", "/v1/files/usage", nil).Is(200).JSON(&usage)
	if usage.Bytes != total || usage.Files != int64(len(seen)) {
		t.Errorf("round %d: usage says %+v, there are %d bytes in %d files", round, usage, total, len(seen))
	}
}

func (w *worker) list() (all []harness.File) {
	for cursor := ""; ; {
		var page struct {
			Items      []harness.File
			NextCursor string `json:"next_cursor"`
		}
		path := "/v1/files?limit=100"
		if cursor != "" {
			path += "&cursor=" + cursor
		}
		w.Do("GET", path, nil).Is(200).JSON(&page)
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

// nothingElseOnDisk waits for the reaper, which must first be sure that every killed writer is dead (its lease has run
// out), and counts the bytes under the blob folder.
func nothingElseOnDisk(t *testing.T, s *harness.Stack, crew []*worker) {
	t.Helper()
	var want int64
	for _, w := range crew {
		for _, f := range w.list() {
			want += f.Size
		}
	}
	var have int64
	for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if have = bytesBelow(filepath.Join(s.Dir, "blobs")); have == want {
			t.Logf("the blob folder holds exactly the %d bytes of the files that are there", have)
			return
		}
	}
	t.Errorf("the blob folder holds %d bytes, the files that are there have %d", have, want)
}

func bytesBelow(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		if d.Name() == "pack" {
			total += bytesPacked(path)
		} else if info, err := os.Stat(path); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

// bytesPacked sums up what lives in a pack: its table has 4096 entries of 16 bytes, each with its state in the fourth byte (1
// lives) and its length in four from the ninth. Of what does not live no block may be left.
func bytesPacked(path string) (total int64) {
	const entries, entry, block, maps, ahead = 4096, 16, 4096, 16, 1 << 20
	raw, err := os.ReadFile(path)
	info, err2 := os.Stat(path)
	if err != nil || err2 != nil || len(raw) < entries*entry {
		return 0
	}
	room := int64(entries * entry)
	for e := range slices.Chunk(raw[:entries*entry], entry) {
		if e[3] == 1 {
			size := int64(binary.LittleEndian.Uint32(e[8:]))
			total += size
			room += (size + block - 1) / block * block
		}
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Blocks*512 > room+maps*block+ahead { // what the filesystem needs to know of 4096 holes, and zeros that wait for contents
		return -stat.Blocks * 512 // never what is wanted
	}
	return total
}
