package console

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
)

func TestPace_BatchesFollowTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace()
		step := func(took, aside time.Duration, size int) {
			t.Helper()
			began := time.Now()
			if err := p.step(t.Context(), took); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(began); waited != aside || p.size != size {
				t.Errorf("after %v it waits %v and takes %d, want %v and %d", took, waited, p.size, aside, size)
			}
		}
		step(time.Millisecond, minAside, 50)
		step(8*time.Millisecond, 8*time.Millisecond, identity.MaxImportBatch)
		step(8*time.Millisecond, 8*time.Millisecond, identity.MaxImportBatch)
		step(15*time.Millisecond, 15*time.Millisecond, identity.MaxImportBatch)
		step(80*time.Millisecond, 80*time.Millisecond, identity.MaxImportBatch/2)
		for range 10 {
			step(time.Hour, maxAside, p.next(time.Hour))
		}
		if p.size != minBatch {
			t.Errorf("on a machine that is very slow it takes %d", p.size)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if err := p.step(ended, time.Second); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
	})
}
