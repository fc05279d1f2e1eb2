package postgres_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/pgtest"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/postgres"
	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// pair lets each transaction run at the other of two replicas.
type pair struct {
	stores [2]*postgres.Store
	turn   atomic.Uint64
}

func (p *pair) next() *postgres.Store { return p.stores[p.turn.Add(1)%2] }

func (p *pair) InTx(ctx context.Context, fn func(identity.Tx) error) error {
	return p.next().InTx(ctx, fn)
}
func (p *pair) InTxRelaxed(ctx context.Context, fn func(identity.Tx) error) error {
	return p.next().InTxRelaxed(ctx, fn)
}
func (p *pair) View(ctx context.Context, fn func(identity.Tx) error) error {
	return p.next().View(ctx, fn)
}

func freshPair(t *testing.T, now func() time.Time) identity.Store {
	dsn := template.New(t)
	return &pair{stores: [2]*postgres.Store{open(t, dsn, now), open(t, dsn, now)}}
}

func TestReplicas_HoldWhenManyComeAtOnce(t *testing.T) { identitytest.RunConcurrency(t, freshPair) }

// Each call, and each transaction of it, at the other replica than the one before: what clients see is the same.
func TestReplicas_RefreshAgreesWithTheModelAlternately(t *testing.T) {
	identitytest.RunRefreshModel(t, freshPair)
}

func TestReplicas_CodesGainNothingFromParallelRequests(t *testing.T) {
	identitytest.RunFactors(t, freshPair)
}

func appendOne(ctx context.Context, tx identity.Tx) (int64, error) {
	return tx.AppendRevocation(ctx, identity.Revocation{Kind: identity.KindSession, ID: "x", At: tx.Now(), Until: tx.Now().Add(time.Hour)})
}

// With a sequence the second would get its number, commit, and be read; the first, committing later with a smaller number,
// would never be.
func TestLog_ALaterNumberIsNeverSeenBeforeAnEarlierOne(t *testing.T) {
	dsn, ctx := template.New(t), t.Context()
	a, b := open(t, dsn, nil), open(t, dsn, nil)
	numbered, commit, second := make(chan int64), make(chan struct{}), make(chan int64, 1)
	var both sync.WaitGroup
	both.Go(func() {
		if err := a.InTx(ctx, func(tx identity.Tx) error {
			seq, err := appendOne(ctx, tx)
			numbered <- seq
			<-commit
			return err
		}); err != nil {
			t.Error(err)
		}
	})
	first := <-numbered
	both.Go(func() {
		var seq int64
		if err := b.InTx(ctx, func(tx identity.Tx) (err error) { seq, err = appendOne(ctx, tx); return err }); err != nil {
			t.Error(err)
		}
		second <- seq
	})
	select {
	case seq := <-second:
		t.Fatalf("number %d was committed while %d was not", seq, first)
	case <-time.After(300 * time.Millisecond):
	}
	close(commit)
	both.Wait()
	if seq := <-second; seq != first+1 {
		t.Errorf("after %d came %d", first, seq)
	}
}

func TestLog_AReaderWhoAsksForMoreThanItHasLosesNothing(t *testing.T) {
	dsn, ctx := template.New(t), t.Context()
	stores := []*postgres.Store{open(t, dsn, nil), open(t, dsn, nil)}
	const writers, each = 8, 15
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for range each {
				err := stores[i%2].InTx(ctx, func(tx identity.Tx) error {
					_, err := appendOne(ctx, tx)
					time.Sleep(rand.N(3 * time.Millisecond))
					if rand.N(4) == 0 {
						return errors.Join(err, errUndone)
					}
					return err
				})
				if err != nil && !errors.Is(err, errUndone) {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	read := func(after int64) (seqs []int64) {
		if err := stores[0].View(ctx, func(tx identity.Tx) error {
			entries, err := tx.Revocations(ctx, after, 10_000)
			for _, e := range entries {
				seqs = append(seqs, e.Seq)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		return seqs
	}
	var got []int64
	for last, over := int64(0), false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		if more := read(last); len(more) > 0 {
			got, last = append(got, more...), more[len(more)-1]
		}
	}
	if all := read(0); !slices.Equal(got, all) || len(all) < writers {
		t.Errorf("the reader got %d entries, there are %d", len(got), len(all))
	}
}

var errUndone = errors.New("undone")

// A token minted while rights change must be known to whoever changes them, or it outlives the entry that makes it stale.
func TestTokensUntil_WaitsForRefreshesUnderWay(t *testing.T) {
	store, ctx := open(t, template.New(t), nil), t.Context()
	w := identitytest.NewWorld(t, store, identitytest.NewClock(), identity.Policy{}, nil)
	ada := w.SignUp("ada")
	locked, commit := make(chan time.Time), make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		if err := store.InTx(ctx, func(tx identity.Tx) error {
			s, _, _, err := tx.SessionForRefresh(ctx, ada.Tokens.SessionID)
			s.Generation++
			s.AccessUntil = s.AccessUntil.Add(time.Hour)
			locked <- s.AccessUntil
			<-commit
			return errors.Join(err, tx.RotateSession(ctx, s))
		}); err != nil {
			t.Error(err)
		}
	})
	want := <-locked
	var got time.Time
	both.Go(func() {
		if err := store.InTx(ctx, func(tx identity.Tx) (err error) { got, err = tx.TokensUntil(ctx, ada.User.ID); return err }); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(200 * time.Millisecond)
	close(commit)
	both.Wait()
	if !got.Equal(want) {
		t.Errorf("tokens until %v, the refresh wrote %v", got, want)
	}
}

// replica is one service of several on a database.
func replica(t *testing.T, dsn secret.String, listens bool) *identity.Service {
	t.Helper()
	store := open(t, dsn, nil)
	w := identitytest.NewWorld(t, store, identitytest.NewClock(), identity.Policy{}, func(o *identity.Options) {
		o.Peers, o.Tail, o.AckTimeout = store, store, 15*time.Second
	})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Service.RunPeers(ctx) })
	if listens {
		running.Go(func() {
			_ = store.Listen(ctx, postgres.News{
				LogGrew: w.Service.LogGrew, FollowersMoved: w.Service.PeersMoved, Acked: w.Service.AckedElsewhere,
			})
		})
	}
	t.Cleanup(func() { stop(); running.Wait() })
	return w.Service
}

func TestReplicas_AFollowerOfTheOtherIsWokenCountedAndHeardAnywhere(t *testing.T) {
	for name, listens := range map[string]bool{"with notifications": true, "with every notification lost": false} {
		t.Run(name, func(t *testing.T) {
			dsn, ctx := template.New(t), t.Context()
			a, b := replica(t, dsn, listens), replica(t, dsn, listens)
			writer := open(t, dsn, nil)
			ctx, stop := context.WithCancel(ctx)
			entries, ready := make(chan int64, 10), make(chan struct{}, 100)
			var following sync.WaitGroup
			following.Go(func() {
				_ = b.Follow(ctx, "gateway-1", 0, nil, func(e identity.Event) error {
					for _, r := range e.Entries {
						entries <- r.Seq
					}
					ready <- struct{}{}
					return nil
				})
			})
			defer following.Wait()
			defer stop()
			<-ready
			for counted(t, a) != 1 {
				time.Sleep(20 * time.Millisecond)
			}
			var seq int64
			if err := writer.InTx(ctx, func(tx identity.Tx) (err error) { seq, err = appendOne(ctx, tx); return err }); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if got := <-entries; got != seq {
				t.Fatalf("got entry %d, want %d", got, seq)
			}
			t.Logf("from commit at one replica to the stream of the other: %v", time.Since(began))
			via := a
			if !listens {
				via = b // passing it on is what notifications are for
			}
			if err := via.Ack(ctx, "gateway-1", seq); err != nil {
				t.Fatal(err)
			}
			if acks := a.WaitAcked(ctx, seq); acks.Of != 1 || acks.Acked != 1 {
				t.Errorf("%d of %d have applied it", acks.Acked, acks.Of)
			}
			t.Logf("from commit to every follower's word: %v", time.Since(began))
			if err := a.Ack(ctx, "nobody", seq); !errors.Is(err, fault.Of(fault.NotFound)) {
				t.Errorf("an unknown follower: %v", err)
			}
		})
	}
}

// What a stream reads in one step is what a snapshot has.
func TestLog_OneStepReadsWhatASnapshotHas(t *testing.T) {
	clock := identitytest.NewClock()
	store, ctx := open(t, template.New(t), clock.Now), t.Context()
	w := identitytest.NewWorld(t, store, clock, identity.Policy{}, nil)
	compare := func() {
		t.Helper()
		for after := range int64(8) {
			for _, limit := range []int{1, 3, 500} {
				var want []identity.Revocation
				var wantHead int64
				err := store.View(ctx, func(tx identity.Tx) (err error) {
					if wantHead, err = tx.RevocationHead(ctx); err == nil {
						want, err = tx.Revocations(ctx, after, limit)
					}
					return err
				})
				got, head, err2 := store.ReadLog(ctx, after, limit)
				if diff := cmp.Diff(want, got); diff != "" || head != wantHead || err != nil || err2 != nil {
					t.Fatalf("after %d, at most %d: head %d, want %d, %v, %v\n%s", after, limit, head, wantHead, err, err2, diff)
				}
			}
		}
	}
	compare()
	ada := w.SignUp("ada")
	for _, e := range []identity.Revocation{
		{Kind: identity.KindSession, ID: "x", Until: clock.Now().Add(time.Minute)},
		{Kind: identity.KindUserEpoch, ID: ada.User.ID, Until: clock.Now().Add(time.Hour)},
		{Kind: identity.KindRoleEpoch, ID: "admin", Until: clock.Now().Add(time.Hour)},
		{Kind: identity.KindUserEpoch, ID: "nobody", Until: clock.Now().Add(time.Hour)},
	} {
		if err := store.InTx(ctx, func(tx identity.Tx) error { e.At = tx.Now(); _, err := tx.AppendRevocation(ctx, e); return err }); err != nil {
			t.Fatal(err)
		}
	}
	compare()
	clock.Advance(2 * time.Minute)
	compare()
}

// counted is how many followers a service knows, wherever they are.
func counted(t *testing.T, s *identity.Service) int {
	t.Helper()
	return s.WaitAcked(t.Context(), 0).Of
}

// A client that gets no answer asks again with the token it has. A session is lost when a token it was given, or the one it
// asked with, is refused for good.
func TestRestart_InTheMiddleOfRefreshesLosesNoSession(t *testing.T) {
	server := pgtest.NewServer(t)
	store := open(t, server.DSN(), nil)
	w := identitytest.NewWorld(t, store, identitytest.NewClock(), identity.Policy{ReuseWindow: time.Minute}, nil)
	const clients = 12
	tokens := make([]secret.String, clients)
	for i := range tokens {
		tokens[i] = w.SignUp("person" + string(rune('a'+i))).Tokens.RefreshToken
	}
	var refreshed, unavailable atomic.Int64
	stop := make(chan struct{})
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			for ended := false; ; {
				next, err := w.Refresh(tokens[i])
				switch {
				case err == nil:
					tokens[i] = next.RefreshToken
					refreshed.Add(1)
				case errors.Is(err, fault.Of(fault.Unavailable)), errors.Is(err, fault.Of(fault.Conflict)):
					unavailable.Add(1)
					time.Sleep(20 * time.Millisecond)
				default:
					t.Errorf("client %d: %v", i, err)
					return
				}
				if ended && err == nil {
					return
				}
				select {
				case <-stop:
					ended = true
				default:
				}
			}
		})
	}
	for _, down := range []func(){server.Kill, server.Stop} {
		time.Sleep(500 * time.Millisecond)
		down()
		server.Start()
	}
	time.Sleep(500 * time.Millisecond)
	close(stop)
	group.Wait()
	w.Audit()
	t.Logf("%d refreshes answered, %d told to come back", refreshed.Load(), unavailable.Load())
	if unavailable.Load() == 0 {
		t.Error("nobody met the restart: the test shows nothing")
	}
}

func TestStorable_WhatPostgresCannotHoldIsNoError(t *testing.T) {
	w := identitytest.NewWorld(t, open(t, template.New(t), nil), identitytest.NewClock(), identity.Policy{}, nil)
	w.SignUp("ada")
	for _, text := range []string{"a\x00da", "\xff\xfe"} {
		err := w.Store.View(t.Context(), func(tx identity.Tx) error {
			_, err := tx.UserByIdentifier(t.Context(), identity.Identifier{Kind: identity.Username, Key: text})
			return err
		})
		if !errors.Is(err, fault.Of(fault.NotFound)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
