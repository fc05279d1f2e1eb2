package identity_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/principal"
)

// However long ago somebody was blocked, a reader that begins anew finds it in the log; and is told when it is over.
func TestBlock_IsInTheLogAsLongAsItLasts(t *testing.T) { synctest.Test(t, blocksStayInTheLog) }

func blocksStayInTheLog(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	set := func(to identity.Status) {
		t.Helper()
		if _, err := w.Service.SetStatus(identity.AsOperator(t.Context()), principal.Principal{}, e.User.ID, to); err != nil {
			t.Fatal(err)
		}
	}
	statuses := func() (got []identity.Status) {
		w.Write(func(ctx context.Context, tx identity.Tx) error {
			log, err := tx.Revocations(ctx, 0, 100)
			for _, r := range log {
				if r.Kind == identity.KindUserEpoch && r.ID == e.User.ID {
					got = append(got, r.Status)
				}
			}
			return err
		})
		return got
	}
	upkeep := func() {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // Run looks once when it begins
		defer cancel()
		if err := w.Service.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	set(identity.Blocked)
	for range 6 { // a year
		w.Clock.Advance(60 * 24 * time.Hour)
		upkeep()
		if got := statuses(); len(got) == 0 || got[len(got)-1] != identity.Blocked {
			t.Fatalf("the log says %v", got)
		}
	}
	upkeep()
	if got := statuses(); len(got) > 2 {
		t.Errorf("%d entries for one block", len(got))
	}
	set(identity.Active)
	for _, status := range statuses() {
		if status != identity.Active {
			t.Errorf("let in again, the log says %v", statuses())
		}
	}
	w.Clock.Advance(80 * 24 * time.Hour) // a reader that was away so long still hears of it
	upkeep()
	if len(statuses()) == 0 {
		t.Error("nothing tells that the block is over")
	}
}
