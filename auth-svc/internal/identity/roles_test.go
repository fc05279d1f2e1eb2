package identity_test

import (
	"context"
	"fmt"
	"testing"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func TestPutRole_IsOneEntryHoweverManyHaveIt(t *testing.T) {
	w := newWorld(t, ordinary)
	root := w.Caller(w.SignUpAdmin("root").Tokens)
	var holders []identity.Entry
	for i := range 40 {
		holders = append(holders, w.SignUp(fmt.Sprintf("p%d", i)))
	}
	before := len(w.Log())
	role, created, err := w.Service.PutRole(t.Context(), root, identity.RoleGuest, []principal.Permission{permission(t, "users:read:self")})
	if err != nil || created || !role.BuiltIn {
		t.Fatalf("%+v, %v, %v", role, created, err)
	}
	if log := w.Log(); len(log) != before+1 || log[before].Kind != identity.KindRoleEpoch || log[before].ID != identity.RoleGuest || log[before].Seq != role.Epoch {
		t.Errorf("%d entries were added", len(log)-before)
	}
	for _, h := range holders {
		wantFault(t, w.Service.Introspect(t.Context(), w.Caller(h.Tokens)), fault.TokenStale)
		fresh := w.Caller(w.MustRefresh(h.Tokens.RefreshToken))
		if err := w.Service.Introspect(t.Context(), fresh); err != nil || len(fresh.Permissions) != 1 {
			t.Errorf("after a refresh: %v with %v", err, fresh.Permissions)
		}
	}
	if err := w.Service.Introspect(t.Context(), root); err != nil {
		t.Errorf("somebody without the role: %v", err)
	}
	if _, _, err := w.Service.PutRole(t.Context(), root, identity.RoleGuest, role.Permissions); err != nil || len(w.Log()) != before+1 {
		t.Errorf("the same again: %v", err)
	}
}

func TestPrepare_LeavesAChangedRoleAlone(t *testing.T) {
	w := newWorld(t, ordinary)
	root := w.Caller(w.SignUpAdmin("root").Tokens)
	if _, _, err := w.Service.PutRole(t.Context(), root, identity.RoleGuest, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Service.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if caller := w.Caller(w.SignUp("ada").Tokens); len(caller.Permissions) != 0 {
		t.Errorf("a start gave guests %v", caller.Permissions)
	}
}

// crowded is a store whose roles have as many holders as anybody will count.
type crowded struct {
	identity.Store
	holders int
}

func (c crowded) InTx(ctx context.Context, fn func(identity.Tx) error) error {
	return c.Store.InTx(ctx, func(tx identity.Tx) error { return fn(crowdedTx{tx, c.holders}) })
}

type crowdedTx struct {
	identity.Tx
	holders int
}

func (c crowdedTx) CountHolders(_ context.Context, _ string, limit int) (int, error) {
	return min(c.holders, limit), nil
}

func TestDeleteRole_IsBounded(t *testing.T) {
	w := newWorld(t, ordinary)
	root := w.Caller(w.SignUpAdmin("root").Tokens)
	if _, _, err := w.Service.PutRole(t.Context(), root, "crowd", nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		holders int
		ok      bool
	}{{1_000_000, false}, {10_001, false}, {10_000, true}} {
		full := identitytest.NewWorld(t, crowded{w.Store.Store, c.holders}, w.Clock, ordinary, nil)
		if err := full.Service.DeleteRole(t.Context(), root, "crowd"); c.ok {
			if err != nil {
				t.Errorf("with %d holders: %v", c.holders, err)
			}
		} else {
			wantFault(t, err, fault.Conflict)
		}
	}
	for _, name := range []string{identity.RoleGuest, identity.RoleAdmin} {
		wantFault(t, w.Service.DeleteRole(t.Context(), root, name), fault.Conflict)
	}
}
