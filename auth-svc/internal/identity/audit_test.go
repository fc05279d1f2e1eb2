package identity_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// signed is a world whose trail has rows, was signed, and has more rows since.
func signed(t *testing.T) *identitytest.World {
	t.Helper()
	w := newWorldWith(t, ordinary, func(o *identity.Options) {
		o.Notary, o.CheckpointEvery = identitytest.Notary{}, time.Minute
	})
	for _, name := range []string{"ada", "bob", "eve"} {
		w.SignUp(name)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Service.Run(ctx) }()
	time.Sleep(61 * time.Second)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.MustLogin("ada", identitytest.Password)
	return w
}

func verify(t *testing.T, w *identitytest.World, known identity.AuditHead) identity.AuditReport {
	t.Helper()
	return must[identity.AuditReport](t)(w.Service.VerifyAudit(t.Context(), known))
}

func wantFaultIn(t *testing.T, r identity.AuditReport, words string) {
	t.Helper()
	if r.OK() || !strings.Contains(strings.Join(r.Faults, "\n"), words) {
		t.Errorf("found %q, want something about %q", r.Faults, words)
	}
}

func TestVerifyAudit_AWholeChainHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := signed(t)
		r := verify(t, w, identity.AuditHead{})
		if !r.OK() || r.Rows != 4 || r.Checkpoints != 1 || r.Signed != 3 || r.Head.Seq != 4 {
			t.Errorf("report: %+v", r)
		}
		known, ok := identity.ParseAuditHead(r.Head.String())
		w.MustLogin("ada", identitytest.Password)
		if !ok || !verify(t, w, known).OK() {
			t.Error("a chain that has grown is refused")
		}
	})
}

func TestVerifyAudit_FindsWhatWasDoneToTheTrail(t *testing.T) {
	rewrite := func(rows []identity.AuditRow, from int) { // as somebody would who knows how the chain is made
		identitytest.Rechain(rows, from)
	}
	for name, c := range map[string]struct {
		harm func(rows []identity.AuditRow) []identity.AuditRow
		want string
	}{
		"a row changed":     {func(r []identity.AuditRow) []identity.AuditRow { r[1].Target = "user:x"; return r }, "row 2 was changed"},
		"sealed changed":    {func(r []identity.AuditRow) []identity.AuditRow { r[1].Sealed = []byte("x"); return r }, "row 2 was changed"},
		"a row taken out":   {func(r []identity.AuditRow) []identity.AuditRow { return append(r[:1:1], r[2:]...) }, "rows 2 to 2 are missing"},
		"the start cut off": {func(r []identity.AuditRow) []identity.AuditRow { return r[1:] }, "rows 1 to 1 are missing"},
		"written anew": {func(r []identity.AuditRow) []identity.AuditRow {
			r[1].Target = "user:x"
			rewrite(r, 1)
			return r
		}, "row 3 is not the one that was signed"},
		"cut below the signature": {func(r []identity.AuditRow) []identity.AuditRow { return r[:2] }, "row 3 was signed once"},
		"all gone":                {func([]identity.AuditRow) []identity.AuditRow { return nil }, "row 3 was signed once"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := signed(t)
				identitytest.SetAudit(w.Store.Store, c.harm(w.Audit()))
				wantFaultIn(t, verify(t, w, identity.AuditHead{}), c.want)
			})
		})
	}
}

func TestVerifyAudit_AKnownHeadFindsWhatNoSignatureCovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := signed(t)
		known := verify(t, w, identity.AuditHead{}).Head
		rows := w.Audit()
		identitytest.SetAudit(w.Store.Store, rows[:3])
		if r := verify(t, w, identity.AuditHead{}); !r.OK() {
			t.Errorf("the chain by itself: %q", r.Faults) // that is why there is more than the chain
		}
		wantFaultIn(t, verify(t, w, known), "it once had a row 4")
		rows[3].Target = "user:x"
		identitytest.Rechain(rows, 3)
		identitytest.SetAudit(w.Store.Store, rows)
		wantFaultIn(t, verify(t, w, known), "row 4 is not the one that was there before")
	})
}

func TestVerifyAudit_RefusesASignatureOfAnotherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := signed(t)
		stranger := identitytest.NewWorld(t, w.Store.Store, w.Clock, ordinary, func(o *identity.Options) {
			o.Notary = identitytest.Notary{Key: "another"}
		})
		wantFaultIn(t, verify(t, stranger, identity.AuditHead{}), "not by a key of this service")
	})
}

func TestAudit_ErasureForgetsThePersonalPartAndKeepsTheChain(t *testing.T) {
	w := newWorldWith(t, ordinary, func(o *identity.Options) { o.Notary = identitytest.Notary{} })
	root, ada := w.Caller(w.SignUpAdmin("root").Tokens), w.SignUp("ada")
	about := identity.AuditFilter{UserID: ada.User.ID, Action: "user.signup"}
	one := func() identity.AuditEntry {
		t.Helper()
		page := must[identity.Page[identity.AuditEntry]](t)(w.Service.ListAudit(t.Context(), root, about, identity.Cursor{}, 10))
		if len(page.Items) != 1 {
			t.Fatalf("%d rows", len(page.Items))
		}
		return page.Items[0]
	}
	before := one()
	if want := `{"ip":"192.0.2.1","user_agent":"test/1","device_name":"laptop"}`; string(before.Personal) != want || before.Forgotten {
		t.Errorf("the row says %s", before.Personal)
	}
	for _, r := range w.Audit() {
		if strings.Contains(string(r.Detail)+string(r.Sealed)+r.Actor+r.Target, "192.0.2.1") {
			t.Errorf("row %d tells the address to whoever reads the table", r.Seq)
		}
	}
	if err := w.Service.DeleteUser(t.Context(), root, ada.User.ID); err != nil {
		t.Fatal(err)
	}
	after := one()
	if after.Personal != nil || !after.Forgotten || after.Hash != before.Hash {
		t.Errorf("after the erasure: %s, forgotten %v", after.Personal, after.Forgotten)
	}
	if r := verify(t, w, identity.AuditHead{}); !r.OK() {
		t.Errorf("after the erasure: %q", r.Faults)
	}
}

func TestListAudit_IsForThoseWhoMay(t *testing.T) {
	w := newWorld(t, ordinary)
	root, ada := w.Caller(w.SignUpAdmin("root").Tokens), w.Caller(w.SignUp("ada").Tokens)
	_, err := w.Service.ListAudit(t.Context(), ada, identity.AuditFilter{UserID: ada.UserID}, identity.Cursor{}, 10)
	wantFault(t, err, fault.Forbidden)
	wantFault(t, w.Service.WalkAudit(t.Context(), ada, 0, nil), fault.Forbidden)
	now := time.Now()
	_, err = w.Service.ListAudit(t.Context(), root, identity.AuditFilter{Since: now, Until: now}, identity.Cursor{}, 10)
	wantFields(t, err, "until")
	var walked []int64
	err = w.Service.WalkAudit(t.Context(), root, 1, func(e identity.AuditEntry) error { walked = append(walked, e.Seq); return nil })
	if err != nil || len(walked) != len(w.Audit())-1 || walked[0] != 2 {
		t.Errorf("walked %v, %v", walked, err)
	}
}
