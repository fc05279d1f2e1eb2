package filessvc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// standing is a body of which nothing more comes.
type standing struct{ ctx context.Context }

func (s standing) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (standing) Close() error { return nil }

// An export whose account stands still is cut: it would keep its place from others for as long as its reader likes.
func TestAccount_ThatStandsStillIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := &cancelling{standing{ctx}, cancel}
		began := time.Now()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) || time.Since(began) != accountPatience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
