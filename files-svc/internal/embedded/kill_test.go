package embedded_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
)

const (
	victimEnv   = "CLOAKROOM_TEST_VICTIM" // the folder of the stores, in the process that is killed
	victims     = 6                       // writers at once in it
	victimOwner = files.OwnerID("ann")
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(victimEnv); folder != "" {
		fmt.Fprintln(os.Stderr, runVictim(folder))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// quick is a service whose reaper is always at work.
func quick(tb filestest.TB, stores filestest.Stores) *files.Service {
	tb.Helper()
	return filestest.New(tb, stores, files.Options{
		LeaseTTL: 200 * time.Millisecond, ReapEvery: 20 * time.Millisecond, RestoreHorizon: -1, TombstoneFor: time.Hour,
		Policy: func() files.Policy { return files.Policy{QuotaBytes: 1 << 40, KeepVersions: 1} },
	})
}

// runVictim uploads, replaces and deletes until it is killed. Before each change it says what it tries, after it that it
// was acknowledged.
func runVictim(folder string) error {
	stores, _, err := open(context.Background(), folder)
	if err != nil {
		return err
	}
	s := quick(victimTB{}, stores)
	go func() { panic(s.Run(context.Background())) }()
	var say sync.Mutex
	tell := func(words ...any) {
		say.Lock()
		defer say.Unlock()
		fmt.Println(words...) // one write call: a line is whole or not there
	}
	failed := make(chan error)
	for range victims {
		go func() { failed <- work(s, tell) }()
	}
	return <-failed
}

func work(s *files.Service, tell func(...any)) error {
	ctx := filestest.As(context.Background(), victimOwner)
	for {
		content := bytes.Repeat([]byte(fmt.Sprint(rand.Uint64())), 1+rand.IntN(3000))
		if rand.IntN(8) == 0 { // large enough for a row of its own
			content = bytes.Repeat(content, 1+files.SmallBytes/len(content))
		}
		digest := files.Digest(sha256.Sum256(content))
		tell("create", digest)
		f, err := s.Create(ctx, victimOwner, files.NewFile{Name: "f", Size: files.UnknownSize}, bytes.NewReader(content))
		if err != nil {
			return err
		}
		tell("created", f.ID, digest)
		for range rand.IntN(3) {
			next := append(content, byte(rand.Int()))
			digest = sha256.Sum256(next)
			tell("try", f.ID, digest)
			if _, err := s.Replace(ctx, victimOwner, f.ID, files.NewContent{Size: int64(len(next))}, bytes.NewReader(next)); err != nil {
				return err
			}
			tell("done", f.ID)
		}
		if rand.IntN(3) == 0 {
			tell("try", f.ID, "-")
			if err := s.Delete(ctx, victimOwner, f.ID, true); err != nil {
				return err
			}
			tell("done", f.ID)
		}
	}
}

// victimTB ends the victim where a test would end.
type victimTB struct{}

func (victimTB) Helper()                   {}
func (victimTB) Logf(string, ...any)       {}
func (victimTB) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (victimTB) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// ledger is what the parent has heard: of each file the digest that was acknowledged ("-": deleted), and what was tried
// after that.
type ledger struct {
	acked, tried map[string]string
	creating     map[string]bool // digests of creates without an answer
}

func (l *ledger) hear(line string) {
	words := strings.Fields(line)
	switch {
	case len(words) == 2 && words[0] == "create":
		l.creating[words[1]] = true
	case len(words) == 3 && words[0] == "created":
		delete(l.creating, words[2])
		l.acked[words[1]] = words[2]
	case len(words) == 3 && words[0] == "try":
		l.tried[words[1]] = words[2]
	case len(words) == 2 && words[0] == "done":
		l.acked[words[1]] = l.tried[words[1]]
		delete(l.tried, words[1])
	}
}

// TestKill kills a working process with SIGKILL again and again and starts it anew on the same folder.
func TestKill(t *testing.T) {
	folder, l := t.TempDir(), &ledger{acked: map[string]string{}, tried: map[string]string{}, creating: map[string]bool{}}
	for range 5 {
		kill(t, folder, l, time.Duration(200+rand.IntN(500))*time.Millisecond)
	}
	stores, closeAll, err := open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := closeAll(); err != nil {
			t.Error(err)
		}
	}()
	s := quick(t, stores)
	for range 3 { // seen; fenced and searched; buried
		if err := s.Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(250 * time.Millisecond)
	}
	filestest.Audit(t, stores, victimOwner)
	l.check(t, stores)
	t.Logf("%d files acknowledged over five lives, %d changes and %d creates cut off", len(l.acked), len(l.tried), len(l.creating))
}

func kill(t *testing.T, folder string, l *ledger, after time.Duration) {
	t.Helper()
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), victimEnv+"="+folder)
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for first := true; lines.Scan(); first = false {
		if first { // from the first change on, however long the start took
			time.AfterFunc(after, func() { _ = victim.Process.Kill() })
		}
		l.hear(lines.Text())
	}
	if err := victim.Wait(); err == nil || victim.ProcessState.ExitCode() != -1 {
		t.Fatalf("the process ended by itself: %v", err)
	}
}

func (l *ledger) check(t *testing.T, stores filestest.Stores) {
	t.Helper()
	got := map[string]string{}
	err := stores.Catalog.Read(t.Context(), func(tx files.ReadTx) error {
		all, err := tx.DueFiles(t.Context(), files.DueQuery{Owner: victimOwner, Limit: 1 << 20})
		for _, f := range all {
			got[string(f.ID)] = f.SHA256.String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range l.acked {
		have, there := got[id]
		if !there {
			have = "-"
		}
		if have != want && have != l.tried[id] {
			t.Errorf("file %s: have %s, acknowledged %s, tried %q", id, have, want, l.tried[id])
		}
		delete(got, id)
	}
	for id, digest := range got {
		if !l.creating[digest] {
			t.Errorf("file %s was neither acknowledged nor being created", id)
		}
	}
}
