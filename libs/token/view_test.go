package token_test

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/token"
)

func entry(seq int64, kind token.Kind, id string, life time.Duration) token.Entry {
	return token.Entry{Seq: seq, Kind: kind, ID: id, At: time.Now(), Until: time.Now().Add(life)}
}

func someone() principal.Principal {
	return principal.Principal{UserID: "u-1", SessionID: "s-1", KeyID: "k-1", Epoch: 5, ExpiresAt: time.Now().Add(time.Minute)}
}

func TestView_IsNotFreshBeforeItHears(t *testing.T) {
	v := token.NewView(token.ViewOptions{})
	v.Apply(entry(1, token.KindSession, "s-1", time.Hour))
	if got := fault.KindOf(v.Fresh()); got != fault.Unavailable {
		t.Errorf("Fresh = %v", got)
	}
	v.Heard(1, time.Now())
	if err := v.Fresh(); err != nil || v.Head() != 1 {
		t.Errorf("Fresh = %v at %d", err, v.Head())
	}
	v.Reset()
	if v.Fresh() == nil || v.Head() != 0 || v.Check(someone()) != nil {
		t.Error("Reset left something")
	}
}

func TestView_FreshnessCountsFromWhenAHeartbeatWasMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := token.NewView(token.ViewOptions{MaxStaleness: 5 * time.Second})
		v.Heard(1, time.Now().Add(-4*time.Second))
		time.Sleep(time.Second)
		if err := v.Fresh(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
		if v.Fresh() == nil {
			t.Error("a heartbeat was taken for younger than it is")
		}
		v.Heard(1, time.Now().Add(time.Hour)) // an instant that has not come counts as now
		time.Sleep(5*time.Second + time.Millisecond)
		if v.Fresh() == nil {
			t.Error("a heartbeat from the future was believed")
		}
		v.Heard(2, time.Now())
		v.Heard(2, time.Now().Add(-time.Hour)) // late news doesn't make the view older
		if err := v.Fresh(); err != nil {
			t.Error(err)
		}
	})
}

func TestView_ForgetsEntriesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		v := token.NewView(token.ViewOptions{Registerer: reg})
		for i := range 1000 {
			v.Apply(entry(int64(i+1), token.KindSession, fmt.Sprintf("s-%d", i), time.Duration(i+1)*time.Second))
		}
		v.Apply(entry(1001, token.KindSession, "s-1", time.Hour)) // comes again, to stay longer
		p := someone()
		if v.Check(p) == nil {
			t.Error("not revoked")
		}
		time.Sleep(10 * time.Minute)
		v.Heard(1001, time.Now())
		// Entries stay two minutes beyond their time: those of the last 1000 - 600 + 120 seconds, and s-1.
		if got := metric(t, reg, "cloakroom_revocation_entries", "session"); got != 521 {
			t.Errorf("%v entries, want 521", got)
		}
		if v.Check(p) == nil {
			t.Error("an entry was forgotten that came again")
		}
		time.Sleep(2 * time.Hour)
		v.Heard(1001, time.Now())
		if got := metric(t, reg, "cloakroom_revocation_entries"); got != 0 {
			t.Errorf("%v entries at the end", got)
		}
		if err := v.Check(p); err != nil {
			t.Error(err)
		}
	})
}

func TestView_AnOverfullViewRefusesAndForgetsNothing(t *testing.T) {
	v := token.NewView(token.ViewOptions{MaxEntries: 10})
	v.Heard(0, time.Now())
	for i := range 10 {
		v.Apply(entry(int64(i+1), token.KindSession, fmt.Sprintf("s-%d", i), time.Hour))
	}
	v.Apply(entry(11, token.KindSession, "s-1", 2*time.Hour)) // known: needs no room
	if err := v.Fresh(); err != nil {
		t.Error(err)
	}
	v.Apply(entry(12, token.KindSession, "s-10", time.Hour))
	v.Heard(12, time.Now())
	if got := fault.KindOf(v.Fresh()); got != fault.Unavailable {
		t.Errorf("Fresh = %v", got)
	}
	if v.Check(someone()) == nil {
		t.Error("an entry was forgotten")
	}
	v.Reset()
	v.Heard(12, time.Now())
	if err := v.Fresh(); err != nil {
		t.Error(err)
	}
}

func TestView_AnUnknownKindIsNotPassedOver(t *testing.T) {
	v := token.NewView(token.ViewOptions{})
	v.Apply(entry(1, "planet", "earth", time.Hour))
	v.Heard(1, time.Now())
	if v.Fresh() == nil {
		t.Error("fresh without knowing what the entry meant")
	}
}

func TestView_Metrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		v := token.NewView(token.ViewOptions{Registerer: reg})
		if got := metric(t, reg, "cloakroom_revocation_lag_seconds"); !math.IsInf(got, 1) {
			t.Errorf("lag before the first heartbeat = %v", got)
		}
		v.Apply(entry(1, token.KindAPIKey, "a", time.Hour))
		v.Apply(entry(2, token.KindSigningKey, "k", time.Hour))
		v.Heard(7, time.Now())
		time.Sleep(1500 * time.Millisecond)
		for name, want := range map[string]float64{
			"cloakroom_revocation_lag_seconds": 1.5, "cloakroom_revocation_head_seq": 7, "cloakroom_revocation_entries": 2,
		} {
			if got := metric(t, reg, name); got != want {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
		v.Apply(entry(8, "planet", "earth", time.Hour))
		v.Heard(8, time.Now())
		if got := metric(t, reg, "cloakroom_revocation_lag_seconds"); !math.IsInf(got, 1) {
			t.Errorf("lag without knowing what an entry meant = %v", got)
		}
	})
}

// TestView_MeetsItsModel compares the view with a list of entries, under any sequence of entries, times and resets.
func TestView_MeetsItsModel(t *testing.T) {
	ids := rapid.SampledFrom([]string{"a", "b", "c", "longer-than-8-bytes", "01890000-0000-7000-8000-000000000001"})
	kinds := rapid.SampledFrom([]token.Kind{token.KindSession, token.KindUserEpoch, token.KindUserDeleted, token.KindSigningKey, token.KindAPIKey})
	rapid.Check(t, func(t *rapid.T) {
		v := token.NewView(token.ViewOptions{})
		var model []token.Entry
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				life := rapid.SampledFrom([]time.Duration{-time.Hour, time.Hour}).Draw(t, "life")
				e := entry(int64(len(model)+1), kinds.Draw(t, "kind"), ids.Draw(t, "id"), life)
				v.Apply(e)
				model = append(model, e)
			},
			"again": func(t *rapid.T) {
				if len(model) > 0 {
					v.Apply(rapid.SampledFrom(model).Draw(t, "entry"))
				}
			},
			"heard": func(*rapid.T) { v.Heard(int64(len(model)), time.Now()) },
			"reset": func(*rapid.T) { v.Reset(); model = nil },
			"check": func(t *rapid.T) {
				p := principal.Principal{UserID: ids.Draw(t, "user"), KeyID: ids.Draw(t, "key"), Epoch: rapid.Int64Range(0, 20).Draw(t, "epoch")}
				if rapid.Bool().Draw(t, "by session") {
					p.SessionID = ids.Draw(t, "session")
				} else {
					p.APIKeyID = ids.Draw(t, "api key")
				}
				got, want := fault.Kind(-1), modelCheck(model, p)
				if err := v.Check(p); err != nil {
					got = fault.KindOf(err)
				}
				if got != want {
					t.Fatalf("Check(%+v) = %v, want %v", p, got, want)
				}
			},
		})
	})
}

func modelCheck(model []token.Entry, p principal.Principal) fault.Kind {
	stale := false
	for _, e := range model {
		if e.Until.Before(time.Now()) {
			continue
		}
		switch {
		case e.Kind == token.KindSession && e.ID == p.SessionID, e.Kind == token.KindAPIKey && e.ID == p.APIKeyID,
			e.Kind == token.KindUserDeleted && e.ID == p.UserID, e.Kind == token.KindSigningKey && e.ID == p.KeyID:
			return fault.InvalidToken
		case e.Kind == token.KindUserEpoch && e.ID == p.UserID && p.Epoch < e.Seq:
			stale = true
		}
	}
	if stale {
		return fault.TokenStale
	}
	return -1
}

func TestView_ARoleEpochMakesTokensOfItsHoldersStale(t *testing.T) {
	v := token.NewView(token.ViewOptions{CutDelay: -1})
	holder, key, other := someone(), someone(), someone()
	holder.Roles, key.EpochRoles, other.Roles = []string{"guest", "editor"}, []string{"editor"}, []string{"guest"}
	key.SessionID, key.APIKeyID = "", "a-1"
	running, stop := v.Bind(t.Context(), holder)
	defer stop()
	spared, stopSpared := v.Bind(t.Context(), other)
	defer stopSpared()
	v.Apply(entry(5, token.KindRoleEpoch, "editor", time.Hour))
	if err := v.Check(holder); err != nil { // its epoch is 5: it knows
		t.Errorf("a token that knows the change: %v", err)
	}
	v.Apply(entry(6, token.KindRoleEpoch, "editor", time.Hour))
	for _, p := range []principal.Principal{holder, key} {
		if got := fault.KindOf(v.Check(p)); got != fault.TokenStale {
			t.Errorf("%+v: %v", p, got)
		}
	}
	if err := v.Check(other); err != nil {
		t.Errorf("somebody without the role: %v", err)
	}
	select {
	case <-running.Done():
	case <-time.After(time.Minute):
		t.Error("a running request of a holder goes on")
	}
	if spared.Err() != nil {
		t.Error("somebody else's request was cut")
	}
	holder.Epoch = 6
	if err := v.Check(holder); err != nil {
		t.Errorf("after a refresh: %v", err)
	}
}

func TestView_KnowsWhoIsBarred(t *testing.T) {
	v := token.NewView(token.ViewOptions{})
	if _, err := v.Barred("u-1"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a view that has heard nothing says %v", err)
	}
	v.Heard(0, time.Now())
	seq := int64(0)
	for _, c := range []struct {
		kind   token.Kind
		status string
		barred bool
	}{
		{token.KindUserEpoch, "", false},
		{token.KindUserEpoch, token.StatusBlocked, true},
		{token.KindUserEpoch, "", true}, // from a sender that can't tell
		{token.KindUserEpoch, token.StatusActive, false},
		{token.KindUserEpoch, token.StatusBlocked, true},
		{token.KindSession, "", true},
		{token.KindUserEpoch, token.StatusActive, false},
		{token.KindUserDeleted, "", true},
	} {
		seq++
		e := entry(seq, c.kind, "u-1", time.Hour)
		e.Status = c.status
		v.Apply(e)
		if barred, err := v.Barred("u-1"); barred != c.barred || err != nil {
			t.Errorf("after %d, %s %q: barred %v, %v", seq, c.kind, c.status, barred, err)
		}
	}
	old := entry(2, token.KindUserEpoch, "u-2", time.Hour)
	fresh := entry(3, token.KindUserEpoch, "u-2", time.Hour)
	old.Status, fresh.Status = token.StatusBlocked, token.StatusActive
	v.Apply(fresh)
	v.Apply(old) // it comes again, late
	if barred, _ := v.Barred("u-2"); barred {
		t.Error("an older entry was believed over a newer one")
	}
}
