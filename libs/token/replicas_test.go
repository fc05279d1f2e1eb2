package token_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

// twins are two replicas of one auth service: what one publishes, the other has too.
type twins [2]*tokentest.Issuer

func newTwins() twins { return twins{tokentest.NewOffline(), tokentest.NewOffline()} }

var twinURLs = [2]string{"http://one.test", "http://other.test"}

// ServeHTTP is both of them, told apart by the host.
func (w twins) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	for i, url := range twinURLs {
		if "http://"+r.URL.Host == url {
			w[i].ServeHTTP(rw, r)
		}
	}
}

func (w twins) revoke(session string) int64 {
	w[0].Revoke(token.KindSession, session)
	return w[1].Revoke(token.KindSession, session).Seq
}

// followed is which one is followed.
func (w twins) followed(t *testing.T) int {
	t.Helper()
	switch one, other := w[0].Streams(name), w[1].Streams(name); {
	case one == 1 && other == 0:
		return 0
	case one == 0 && other == 1:
		return 1
	default:
		t.Fatalf("%d and %d streams", one, other)
		return 0
	}
}

// TestFollower_OneReplicaOfTwoMayFail: whatever becomes of the one that is followed, the view never grows too old to be
// believed, and what is revoked meanwhile is known in time.
func TestFollower_OneReplicaOfTwoMayFail(t *testing.T) {
	for name, tc := range map[string]struct {
		fail   func(*tokentest.Issuer)
		within time.Duration
	}{
		"it stands still":   {(*tokentest.Issuer).Stall, 4 * time.Second},
		"it goes away":      {(*tokentest.Issuer).Down, 200 * time.Millisecond},
		"its stream is cut": {(*tokentest.Issuer).Cut, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				both := newTwins()
				view := token.NewView(token.ViewOptions{})
				f := token.NewFollower(twinURLs[0]+"/", "gateway-1", tokentest.InProcess(both), view, token.FollowerOptions{
					Replicas: twinURLs[1:], Log: slog.New(slog.DiscardHandler),
				})
				run(t, f.Run)
				synctest.Wait()
				for round := range 10 {
					time.Sleep(time.Duration(round) * 130 * time.Millisecond) // at any point between two heartbeats
					was := both.followed(t)
					tc.fail(both[was])
					session := fmt.Sprint("s", round)
					seq := both.revoke(session)
					known := time.Duration(0)
					for spent := time.Duration(0); spent < 8*time.Second; spent += 20 * time.Millisecond {
						time.Sleep(20 * time.Millisecond)
						if err := view.Fresh(); err != nil {
							t.Fatalf("after %v: %v", spent, err)
						}
						if known == 0 && view.Check(of(session)) != nil {
							known = spent + 20*time.Millisecond
						}
					}
					if known == 0 || known > tc.within {
						t.Errorf("revoked, and known after %v", known)
					}
					now := both.followed(t)
					if now == was || both[now].Acked("gateway-1") != seq {
						t.Errorf("from %d to %d, which was told of position %d of %d", was, now, both[now].Acked("gateway-1"), seq)
					}
					both[was].Recover()
				}
			})
		})
	}
}

// TestFollower_BothAwayIsWaitedOutWithPatience: two that refuse are not asked in a tight circle.
func TestFollower_BothAwayIsWaitedOutWithPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		view := token.NewView(token.ViewOptions{})
		refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		f := token.NewFollower(twinURLs[0], name, tokentest.InProcess(refuse), view, token.FollowerOptions{
			Replicas: twinURLs[1:], Log: slog.New(slog.DiscardHandler),
		})
		run(t, f.Run)
		time.Sleep(time.Minute)
		synctest.Wait()
		if asked < 100 || asked > 200 {
			t.Errorf("asked %d times in a minute", asked)
		}
	})
}

func TestJWKS_OneReplicaOfTwoMayFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := newTwins()
		const path = "/.well-known/jwks.json"
		keys := token.NewJWKS(twinURLs[0]+path, tokentest.InProcess(both), token.JWKSOptions{
			Replicas: []string{twinURLs[1] + path}, Log: slog.New(slog.DiscardHandler),
		})
		for i := range both {
			both[i].Stall()
			ready := both[1-i]
			ready.Recover()
			if i == 0 {
				run(t, keys.Run)
			} else {
				keys.Refresh()
			}
			time.Sleep(2 * time.Second)
			if err := keys.Ready(t.Context()); err != nil {
				t.Errorf("with one of two: %v", err)
			}
			if ready.JWKSFetches() == 0 {
				t.Error("the other one was not asked")
			}
		}
	})
}
