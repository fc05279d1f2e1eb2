package filestest

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// checkChanges: a reader who follows while others write sees each of the owner's events once, in order, and no other's.
func checkChanges(t *testing.T, b *bench) {
	const writers, each = 6, 15
	ctx := As(t.Context(), ann)
	b.upload(t, ann, "before", "x")
	start, err := b.Changes(ctx, ann, nil, 0)
	if err != nil || len(start.Events) != 0 || start.More {
		t.Fatalf("without a position: %+v, %v", start, err)
	}
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for range each {
				for _, owner := range []files.OwnerID{ann, bob} {
					if _, err := b.Create(As(t.Context(), owner), owner, files.NewFile{Name: "f", Size: 1}, strings.NewReader("x")); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { wait.Wait(); close(ended) }()
	var seen []int64
	last := false
	for at := start.Next; ; {
		select {
		case <-ended:
			last = true
		default:
		}
		page, err := b.Changes(ctx, ann, &at, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			if e.Owner != ann || e.Kind != files.FileCreated || e.File == "" {
				t.Errorf("event %+v", e)
			}
			seen = append(seen, e.Seq)
		}
		at = page.Next
		if last && !page.More {
			break
		}
	}
	if len(seen) != writers*each || !slices.IsSorted(seen) || len(slices.Compact(seen)) != writers*each {
		t.Errorf("saw %d events, want %d, each once and in order", len(seen), writers*each)
	}
}

// checkChangesGone: a position whose successors are not all kept is refused, and one of somebody idle does not grow old.
func checkChangesGone(t *testing.T, b *bench) {
	ctx := As(t.Context(), ann)
	b.upload(t, ann, "first", "x")
	start, err := b.Changes(ctx, ann, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.upload(t, bob, "second", "x")
	later, err := b.Changes(ctx, ann, &start.Next, 0)
	if err != nil || len(later.Events) != 0 || later.Next <= start.Next {
		t.Fatalf("%+v, %v", later, err)
	}
	b.clock.Advance(31 * 24 * time.Hour)
	if err := b.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	future := later.Next + 1
	for _, gone := range []int64{-1, start.Next, future} {
		_, err := b.Changes(ctx, ann, &gone, 0)
		wantKind(t, err, fault.Gone)
	}
	if _, err := b.Changes(ctx, ann, &later.Next, 0); err != nil {
		t.Error(err)
	}
	_, err = b.Changes(As(t.Context(), bob), ann, nil, 0)
	wantKind(t, err, fault.NotFound)
}
