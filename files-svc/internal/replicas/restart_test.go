package replicas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/postgres"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/pgtest"
	db "cloakroom.dev/libs/postgres"
)

// stored is what uploaders were told.
type stored struct {
	mu      sync.Mutex
	files   map[files.FileID][]byte
	refused int
}

// uploader uploads until the test has had enough, and takes note of what was acknowledged. It may be refused only in a
// way that tells clients to come again.
func (s *stored) uploader(t *testing.T, service *files.Service, owner files.OwnerID, enough <-chan struct{}) {
	ctx := filestest.As(context.Background(), owner)
	for n := 0; ; n++ {
		select {
		case <-enough:
			return
		default:
		}
		content := []byte(string(owner) + " " + strconv.Itoa(n))
		f, err := service.Create(ctx, owner, files.NewFile{Name: "f", Size: int64(len(content))}, bytes.NewReader(content))
		s.mu.Lock()
		var refusal *fault.Error
		switch {
		case err == nil:
			s.files[f.ID] = content
		case errors.As(err, &refusal) && (refusal.Kind == fault.Unavailable || refusal.Kind == fault.Overloaded):
			s.refused++
			if refusal.RetryAfter <= 0 {
				t.Errorf("refused without saying when to come back: %v", err)
			}
		default:
			t.Errorf("refused with %v", err)
		}
		s.mu.Unlock()
		if err != nil {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (s *stored) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.files)
}

// PostgreSQL is stopped and killed while two processes take uploads in. What was acknowledged is there, the rest was told to
// come again, both processes go on by themselves, and so does an upload that was under way.
func TestPostgres_RestartedDuringUploads(t *testing.T) {
	server := pgtest.NewServer(t)
	d := openDB(t, server.DSN())
	if err := d.Migrate(t.Context(), postgres.Migrations()); err != nil {
		t.Fatal(err)
	}
	blobs := filestest.NewBlobs()
	both := []*files.Service{join(t, server.DSN()).serve(t, blobs, files.Options{}), join(t, server.DSN()).serve(t, blobs, files.Options{})}
	ctx := filestest.As(t.Context(), ann)
	up, err := both[0].CreateUpload(ctx, ann, files.NewUpload{File: files.NewFile{Name: "half", Size: 10}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := both[0].AppendUpload(ctx, ann, up.ID, files.Chunk{Size: 5, Content: bytes.NewReader([]byte("01234"))}); err != nil {
		t.Fatal(err)
	}
	told := &stored{files: map[files.FileID][]byte{}}
	owners := []files.OwnerID{"p-0", "p-1", "p-2", "p-3", "p-4", "p-5", "p-6", "p-7"}
	enough := make(chan struct{})
	var wait sync.WaitGroup
	for n, owner := range owners {
		wait.Go(func() { told.uploader(t, both[n%2], owner, enough) })
	}
	for _, end := range []func(){server.Stop, server.Kill} {
		before := told.count()
		within(t, "uploads go on", func() bool { return told.count() > before+20 })
		end()
		time.Sleep(500 * time.Millisecond)
		server.Start()
	}
	before := told.count()
	within(t, "uploads go on", func() bool { return told.count() > before+20 })
	close(enough)
	wait.Wait()
	t.Logf("%d uploads were acknowledged, %d told to come again", told.count(), told.refused)

	for id, want := range told.files {
		owner, _, _ := bytes.Cut(want, []byte(" "))
		c, err := both[0].Open(filestest.As(t.Context(), files.OwnerID(owner)), files.OwnerID(owner), id)
		if err != nil {
			t.Fatalf("an acknowledged file is lost: %v", err)
		}
		got, err := io.ReadAll(c.Verified(t.Context()))
		if c.Close(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("it reads %q, %v; want %q", got, err, want)
		}
	}
	done, err := both[1].AppendUpload(ctx, ann, up.ID, files.Chunk{Offset: 5, Size: 5, Content: bytes.NewReader([]byte("56789")), AtLength: true})
	if err != nil || done.State != files.UploadDone {
		t.Errorf("the upload that was under way: %+v, %v", done, err)
	}
	for _, s := range both {
		if err := s.Reap(t.Context()); err != nil {
			t.Errorf("reap: %v", err)
		}
	}
}

func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// When every connection is taken a write waits for its time and no longer, and says when to come back.
func TestPostgres_AllConnectionsBusy(t *testing.T) {
	d, err := db.Open(t.Context(), template.New(t), db.Options{Name: "files", MaxConnections: 2, AcquireTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c := postgres.New(d, nil)
	defer c.Close()
	taken, leave := make(chan struct{}), make(chan struct{})
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			_ = c.Read(t.Context(), func(files.ReadTx) error { taken <- struct{}{}; <-leave; return nil })
		})
		<-taken
	}
	began := time.Now()
	err = c.Write(t.Context(), func(tx files.Tx) error { return tx.SetLogPosition(t.Context(), 1) })
	var refusal *fault.Error
	if !errors.As(err, &refusal) || refusal.Kind != fault.Overloaded || refusal.RetryAfter <= 0 {
		t.Errorf("refused with %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it waited %s", took)
	}
	close(leave)
	wait.Wait()
	if err := c.Write(t.Context(), func(tx files.Tx) error { return tx.SetLogPosition(t.Context(), 1) }); err != nil {
		t.Errorf("after that: %v", err)
	}
}
