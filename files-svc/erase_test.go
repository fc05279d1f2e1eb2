package filessvc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/token"
)

// stubborn is a store in which some people can't be erased.
type stubborn struct {
	mu       sync.Mutex
	broken   map[files.OwnerID]bool
	erased   []files.OwnerID
	position int64
}

func (s *stubborn) EraseOwner(_ context.Context, owner files.OwnerID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken[owner] {
		return errors.New("a row can't be read")
	}
	s.erased = append(s.erased, owner)
	return nil
}

func (s *stubborn) LogPosition(context.Context) (int64, error) {
	_, position := s.stands()
	return position, nil
}

func (s *stubborn) SetLogPosition(_ context.Context, seq int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.position = seq
	return nil
}

func (s *stubborn) stands() (erased []files.OwnerID, position int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.erased), s.position
}

// Somebody who can't be erased keeps nobody else, and the position doesn't say that they were.
func TestErase_OneThatFailsKeepsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEraser(nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		core := &stubborn{broken: map[files.OwnerID]bool{"b": true}}
		e.core = core
		for i, id := range []string{"a", "b", "c", "d"} {
			if err := e.hear(t.Context(), token.Entry{Kind: token.KindUserDeleted, ID: id, Seq: int64(i + 1)}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.run(ctx) }()
		time.Sleep(10 * time.Second)
		if erased, position := core.stands(); !slices.Equal(erased, []files.OwnerID{"a", "c", "d"}) || position != 1 {
			t.Errorf("erased %v, worked off up to %d", erased, position)
		}
		core.mu.Lock()
		core.broken = nil
		core.mu.Unlock()
		time.Sleep(2 * eraseRetryMax)
		if erased, position := core.stands(); len(erased) != 4 || position != 4 {
			t.Errorf("after the repair: erased %v, worked off up to %d", erased, position)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Whoever is deleted while others keep failing waits for none of them, however many they are.
func TestErase_NobodyWaitsForThoseThatKeepFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEraser(nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		core := &stubborn{broken: map[files.OwnerID]bool{}}
		e.core = core
		seq := int64(0)
		deleted := func(id files.OwnerID) {
			seq++
			if err := e.hear(t.Context(), token.Entry{Kind: token.KindUserDeleted, ID: string(id), Seq: seq}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 100 {
			id := files.OwnerID(fmt.Sprint("broken-", i))
			core.broken[id] = true
			deleted(id)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.run(ctx) }()
		time.Sleep(time.Hour)
		for range 3 {
			id := files.OwnerID(fmt.Sprint("whole-", seq))
			deleted(id)
			time.Sleep(2 * eraseRetry)
			if erased, position := core.stands(); !slices.Contains(erased, id) || position != 0 {
				t.Errorf("%s is not among the erased %v, worked off up to %d", id, erased, position)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestErase_QueueIsBounded(t *testing.T) {
	e := newEraser(nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	e.core = &stubborn{broken: map[files.OwnerID]bool{"same": true}}
	entry := token.Entry{Kind: token.KindUserDeleted, ID: "same", Seq: 1}
	if err := e.hear(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	next, _, _ := e.take(time.Now())
	if err := e.erase(t.Context(), next); err == nil {
		t.Fatal("erased")
	}
	for range maxErasures - 1 {
		if err := e.hear(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.hear(t.Context(), entry); !errors.Is(err, errErasuresFull) {
		t.Errorf("one too many: %v", err)
	}
}
