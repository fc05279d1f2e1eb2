package replicas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
)

// sending is a request that sends to an upload and does not come to an end by itself.
type sending struct {
	body  *io.PipeWriter
	ended chan error
}

// send begins to append at offset 0. What has been written to it is durable after a while, or when it is interrupted.
func send(s *files.Service, id files.UploadID) sending {
	ctx, interrupt := context.WithCancelCause(filestest.As(context.Background(), ann))
	r, w := io.Pipe()
	out := sending{w, make(chan error, 1)}
	go func() {
		_, err := s.AppendUpload(ctx, ann, id, files.Chunk{Size: files.UnknownSize, Content: r, Interrupt: func(cause error) {
			interrupt(cause)
			_ = r.CloseWithError(cause)
		}})
		out.ended <- err
	}()
	return out
}

// A client that comes again, to another process, gets its upload at once: the request it gave up there is cut, and what it
// had brought counts.
func TestUpload_ALaterRequestToAnotherReplicaTakesItOver(t *testing.T) {
	dsn, blobs := template.New(t), filestest.NewBlobs()
	a, b := join(t, dsn).serve(t, blobs, files.Options{}), join(t, dsn).serve(t, blobs, files.Options{})
	ctx := filestest.As(t.Context(), ann)
	up, err := a.CreateUpload(ctx, ann, files.NewUpload{File: files.NewFile{Name: "f", Size: 10}})
	if err != nil {
		t.Fatal(err)
	}
	older := send(a, up.ID)
	if _, err := older.body.Write([]byte("01234")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	at, err := b.StatUpload(ctx, ann, up.ID)
	if err != nil || at.Offset != 5 {
		t.Fatalf("the upload stands at %d, %v; want 5", at.Offset, err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %s to hear it", took)
	}
	if err := <-older.ended; !errors.Is(err, fault.Of(fault.Conflict)) {
		t.Errorf("the older request ended with %v", err)
	}
	done, err := b.AppendUpload(ctx, ann, up.ID, files.Chunk{Offset: 5, Size: 5, Content: bytes.NewReader([]byte("56789")), AtLength: true})
	if err != nil || done.State != files.UploadDone {
		t.Fatalf("the rest: %+v, %v", done, err)
	}
	content, err := a.Open(ctx, ann, done.File)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if got, err := io.ReadAll(content.Verified(ctx)); err != nil || string(got) != "0123456789" {
		t.Errorf("it reads %q, %v", got, err)
	}
	filestest.Audit(t, filestest.Stores{Catalog: join(t, dsn).catalog, Blobs: blobs}, ann)
}

// An upload whose time is over goes, unless a request sends to it, at whichever replica.
func TestUpload_IsNotExpiredWhileAnotherReplicaReceivesIt(t *testing.T) {
	dsn, blobs := template.New(t), filestest.NewBlobs()
	soon := files.Options{Policy: func() files.Policy { return files.Policy{UploadExpiry: time.Second} }}
	third := join(t, dsn)
	a, b := join(t, dsn).serve(t, blobs, soon), join(t, dsn).serve(t, blobs, soon)
	up, err := a.CreateUpload(filestest.As(t.Context(), ann), ann, files.NewUpload{File: files.NewFile{Name: "f", Size: 10}})
	if err != nil {
		t.Fatal(err)
	}
	there := func() bool {
		t.Helper()
		if err := b.Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := third.catalog.Read(t.Context(), func(tx files.ReadTx) error {
			_, err := tx.Upload(t.Context(), up.ID)
			return err
		})
		if err != nil && !errors.Is(err, fault.Of(fault.NotFound)) {
			t.Fatal(err)
		}
		return err == nil
	}
	slow := send(a, up.ID)
	if _, err := slow.body.Write([]byte("01234")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond)
	if !there() {
		t.Error("it was expired under the hands of the request that sends to it")
	}
	_ = slow.body.CloseWithError(io.ErrUnexpectedEOF)
	<-slow.ended
	for end := time.Now().Add(time.Minute); there(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody sends to it, and it stays")
		}
	}
}

// A process that dies lets go of nothing. Its uploads are anybody's when their time by the database's clock is over, which
// is sooner than clients are sent away.
func TestUpload_OfADeadReplicaGoesOn(t *testing.T) {
	dsn := template.New(t)
	alive := join(t, dsn)
	d := openDB(t, dsn)
	began := time.Now()
	exec(t, d, `INSERT INTO upload_holds (upload, holder, until, wanted) VALUES ('up', 'dead', clock_timestamp() + interval '1 second', false)`)
	release, err := alive.holds.Hold(t.Context(), "up", func() {})
	if err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(began); waited < 900*time.Millisecond || waited > 12*time.Second {
		t.Errorf("it was waited for %s", waited)
	}
	release()
	again, err := join(t, dsn).holds.Hold(t.Context(), "up", func() {})
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// The notification may be lost: the mark in the row is found at the next renewal.
func TestHold_AskedForWithoutNotificationIsLetGo(t *testing.T) {
	dsn := template.New(t)
	asked := make(chan struct{}, 8)
	release, err := join(t, dsn).holds.Hold(t.Context(), "up", func() { asked <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	exec(t, openDB(t, dsn), `UPDATE upload_holds SET wanted = true`)
	select {
	case <-asked:
	case <-time.After(time.Minute):
		t.Error("nobody was asked to let go")
	}
}
