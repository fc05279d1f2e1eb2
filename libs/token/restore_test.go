package token_test

import (
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

// A log that was put back and has grown again to the follower's position, before it came back, has other entries there.
func TestFollower_RestoredLogThatGrewAgainIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := tokentest.NewOffline()
		iss.Revoke(token.KindSession, "one")
		iss.Revoke(token.KindSession, "lost")
		f := follow(t, iss, token.FollowerOptions{})
		iss.Restore(1)
		iss.Revoke(token.KindSession, "two") // position 2 again
		synctest.Wait()
		timeForRetry()
		synctest.Wait()
		if f.view.Check(of("two")) == nil || f.view.Check(of("one")) == nil {
			t.Errorf("a session revoked in the restored log is let in; fresh: %v, asked after %v", f.view.Fresh(), f.asked())
		}
		if err := f.view.Check(of("lost")); err != nil {
			t.Errorf("a revocation that the restored log does not know is still in force: %v", err)
		}
	})
}

func timeForRetry() { time.Sleep(10 * time.Second) }
