package filessvc

import (
	"context"
	"errors"
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

func (s *stubborn) LogPosition(context.Context) (int64, error) { return s.position, nil }

func (s *stubborn) SetLogPosition(_ context.Context, seq int64) error {
	s.position = seq
	return nil
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
		if !slices.Equal(core.erased, []files.OwnerID{"a", "c", "d"}) || core.position != 1 {
			t.Errorf("erased %v, worked off up to %d", core.erased, core.position)
		}
		core.mu.Lock()
		core.broken = nil
		core.mu.Unlock()
		time.Sleep(2 * eraseRetryMax)
		if len(core.erased) != 4 || core.position != 4 {
			t.Errorf("after the repair: erased %v, worked off up to %d", core.erased, core.position)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
