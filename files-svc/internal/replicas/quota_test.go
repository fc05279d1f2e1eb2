package replicas_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
)

const ann, bob files.OwnerID = "ann", "bob"

func upload(s *files.Service, owner files.OwnerID, content []byte) error {
	nf := files.NewFile{Name: "f", Size: int64(len(content))}
	_, err := s.Create(filestest.As(context.Background(), owner), owner, nf, bytes.NewReader(content))
	return err
}

// A thousand uploads to two processes meet in the last megabyte of a quota: exactly as many win as fit.
func TestQuota_HoldsToTheByteAcrossReplicas(t *testing.T) {
	const uploads, size, room = 1000, 4096, 1 << 20
	dsn, blobs := template.New(t), filestest.NewBlobs()
	opts := files.Options{Policy: func() files.Policy { return files.Policy{QuotaBytes: room + size/2} }}
	both := []*files.Service{join(t, dsn).serve(t, blobs, opts), join(t, dsn).serve(t, blobs, opts)}
	var race filestest.Tally
	var wait sync.WaitGroup
	began := time.Now()
	for n := range uploads {
		wait.Go(func() {
			race.Count(t, upload(both[n%2], ann, bytes.Repeat([]byte{byte(n)}, size)))
		})
	}
	wait.Wait()
	t.Logf("%d uploads of one owner through two processes took %s", uploads, time.Since(began).Round(time.Millisecond))
	race.Want(t, room/size, uploads-room/size)
	filestest.Audit(t, filestest.Stores{Catalog: join(t, dsn).catalog, Blobs: blobs}, ann)
}

// While two processes write for many owners, a reader who follows one, and one who follows all, see each event once and
// in order: nothing is ever committed behind a position that has been read.
func TestEvents_AreInTheOrderOfCommitsAcrossReplicas(t *testing.T) {
	const writers, each = 8, 25
	dsn, blobs := template.New(t), filestest.NewBlobs()
	all := []replica{join(t, dsn), join(t, dsn)}
	owners := []files.OwnerID{ann, bob}
	var wait sync.WaitGroup
	for n := range writers {
		s := all[n%2].serve(t, blobs, files.Options{})
		wait.Go(func() {
			for i := range each {
				if err := upload(s, owners[(n/2+i)%2], []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { wait.Wait(); close(ended) }()
	reader := join(t, dsn).catalog
	followed := map[files.OwnerID][]int64{}
	for last := false; ; {
		select {
		case <-ended:
			last = true
		default:
		}
		found := follow(t, reader, followed)
		if last && found == 0 {
			break
		}
	}
	if n := len(followed[ann]) + len(followed[bob]); n != writers*each || len(followed[""]) != writers*each {
		t.Errorf("%d events were seen by owner and %d in all, want %d", n, len(followed[""]), writers*each)
	}
	for who, seen := range followed {
		if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != len(seen) {
			t.Errorf("%q saw %v", who, seen)
		}
	}
}

// follow reads on behind what each reader has seen.
func follow(t *testing.T, c files.Catalog, followed map[files.OwnerID][]int64) (found int) {
	t.Helper()
	ctx := t.Context()
	for _, who := range []files.OwnerID{ann, bob, ""} {
		after := int64(0)
		if seen := followed[who]; len(seen) > 0 {
			after = seen[len(seen)-1]
		}
		err := c.Read(ctx, func(tx files.ReadTx) error {
			events, err := tx.EventsAfter(ctx, after, 7)
			if who != "" {
				events, err = tx.OwnerEvents(ctx, who, after, 7)
			}
			for _, e := range events {
				followed[who] = append(followed[who], e.Seq)
			}
			found += len(events)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// The trap of sequences: a transaction that was first to say what has happened and is last to commit must not be numbered
// before one that a reader has seen already.
func TestEvents_OfASlowTransactionComeAfterThoseThatWereRead(t *testing.T) {
	dsn := template.New(t)
	slow, quick := join(t, dsn).catalog, join(t, dsn).catalog
	ctx := t.Context()
	said, read, committed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	once := sync.OnceFunc(func() { close(said) })
	go func() {
		committed <- slow.Write(ctx, func(tx files.Tx) error {
			err := tx.AppendEvent(ctx, files.Event{Kind: files.FileCreated, Owner: ann, File: "slow", At: filestest.Noon})
			once()
			<-read
			return err
		})
	}()
	<-said
	err := quick.Write(ctx, func(tx files.Tx) error {
		return tx.AppendEvent(ctx, files.Event{Kind: files.FileCreated, Owner: bob, File: "quick", At: filestest.Noon})
	})
	if err != nil {
		t.Fatal(err)
	}
	events := func(after int64) (found []files.Event) {
		err := quick.Read(ctx, func(tx files.ReadTx) (err error) {
			found, err = tx.EventsAfter(ctx, after, 10)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	first := events(0)
	close(read)
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	if len(first) != 1 || first[0].File != "quick" {
		t.Fatalf("first seen: %+v", first)
	}
	if later := events(first[0].Seq); len(later) != 1 || later[0].File != "slow" {
		t.Errorf("behind it: %+v", later)
	}
}

// Writers of two processes who take one owner's row or the other's, or both in the one order there is, get into one batch in any
// order. All of them end, and soon: none waits for the server to find a deadlock.
func TestWrites_MeetInAnyOrderAndEnd(t *testing.T) {
	const writers, each = 24, 20
	dsn := template.New(t)
	both := []replica{join(t, dsn), join(t, dsn)}
	kinds := [][]files.OwnerID{{ann}, {bob}, {ann, bob}}
	ctx := t.Context()
	var wait sync.WaitGroup
	began := time.Now()
	for n := range writers {
		wait.Go(func() {
			for i := range each {
				err := both[n%2].catalog.Write(ctx, func(tx files.Tx) error { return addOne(ctx, tx, kinds[(n+i)%len(kinds)]) })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	t.Logf("%d writes took %s", writers*each, time.Since(began).Round(time.Millisecond))
	const sum = writers * each * 2 / 3
	err := both[0].catalog.Read(ctx, func(tx files.ReadTx) error {
		a, err := tx.Owner(ctx, ann)
		if err != nil {
			return err
		}
		b, err := tx.Owner(ctx, bob)
		if a.Bytes != sum || b.Bytes != sum {
			t.Errorf("the sums are %d and %d, want %d", a.Bytes, b.Bytes, sum)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func addOne(ctx context.Context, tx files.Tx, owners []files.OwnerID) error {
	for _, id := range owners {
		o, err := tx.Owner(ctx, id)
		if err != nil {
			return err
		}
		o.Bytes++
		if err := tx.SaveOwner(ctx, o); err != nil {
			return err
		}
	}
	return nil
}
